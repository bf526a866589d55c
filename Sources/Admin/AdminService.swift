package import Gateway
import HTTPTransport
import HTTPWire
package import Reactor
package import Store
package import Telemetry

/// What an operator and his machines ask: probes, metrics and the status page, on a listener of their own, where the
/// configuration has one.
///
/// It lives on one loop, and gets copies of what the others count through their workers.
package final class AdminService {
    /// A scraper, a few probes and a person's browser; not a thousand of them.
    private static let maxConnections = 64
    /// What a GET needs. No request has a body.
    private static let limits = HTTPServerConnection.Limits(
        head: {
            var limits = HTTPLimits()
            limits.maxHead = 8 * 1024
            return limits
        }(),
        maxBody: 0, headerTimeout: .seconds(5), bodyTimeout: .seconds(1), idleTimeout: .seconds(75))

    private let loop: Loop
    private var listener: Listener?
    private let workers: [Worker]
    /// What it shows beside numbers, and whom.
    package var settings: AdminSettings
    package var reloads = ReloadCounts()
    /// The connection to the store, on this loop; nil where there is none.
    package var store: Store?
    private let log: Log
    private let recent: RecentTraffic
    private let startWallClock = ProcessNumbers.wallClock()
    private let start = Instant.now
    private let sampling: Deadline
    private var connections: [ObjectIdentifier: HTTPServerConnection] = [:]
    private var isDraining = false

    /// - Parameter workers: all that serve clients; the first of them tries whether the server can be reached.
    package init(on loop: Loop, workers: [Worker], settings: AdminSettings, log: Log) {
        self.loop = loop
        self.workers = workers
        self.settings = settings
        self.log = log
        recent = RecentTraffic(at: loop.now)
        sampling = Deadline(on: loop)
        sampling.onExpiry = { [unowned self] in
            loop.spawn { await self.sampleTraffic() }
        }
    }

    /// A listener for ``useListener(on:)``, which accepts nothing before.
    package func makeListener(on address: SocketAddress) throws(SystemError) -> Listener {
        try Listener(on: loop, address: address, maxConnections: AdminService.maxConnections, shared: false)
    }

    /// Is to be found there from now on, and nowhere else; nil: nowhere.
    package func useListener(_ listener: Listener?) {
        closeService()
        self.listener = listener
        guard let listener else { return }
        listener.startAccepting { [unowned self, weak listener] socket in
            let connection = HTTPServerConnection(socket, on: loop, limits: AdminService.limits)
            connections[ObjectIdentifier(connection)] = connection
            loop.spawn {
                await self.serveConnection(connection)
                listener?.connectionClosed()
            }
        }
        sampling.set(after: RecentTraffic.interval)
        log.write(.info, "admin_listening") { $0.field("address", "\(listener.address)") }
    }

    /// Remora takes no more clients: `/readyz` says so from now on.
    package func markDraining() { isDraining = true }

    package func closeService() {
        listener?.closeListener()
        listener = nil
        sampling.set(nil)
        for connection in connections.values { connection.close() }
    }

    // MARK: Numbers

    private func sampleTraffic() async {
        recent.noteTotal(await workerCounts().requests.answerDurations, at: loop.now)
        if listener == nil { return }
        sampling.set(after: RecentTraffic.interval)
    }

    private func workerCounts() async -> WorkerCounts {
        var sum = WorkerCounts()
        for worker in workers { sum.addCounts(await worker.loopCounts()) }
        return sum
    }

    private func makeOverview() async -> Overview {
        let counts = await workerCounts()
        var stored = store?.counts
        if let more = counts.store { stored?.addCounts(more) }
        return Overview(
            settings: settings, counts: counts, store: stored, isDraining: isDraining, reloads: reloads,
            recent: recent.trafficSince(counts.requests.answerDurations, at: loop.now), process: ProcessNumbers(),
            droppedLogLines: log.droppedLines, internalErrors: log.internalErrorCount, startWallClock: startWallClock,
            uptime: loop.now - start)
    }

    // MARK: Requests

    private func serveConnection(_ connection: HTTPServerConnection) async {
        await answerAll(on: connection)
        connections[ObjectIdentifier(connection)] = nil
    }

    private func answerAll(on connection: HTTPServerConnection) async {
        while true {
            switch await connection.nextArrival() {
            case .closed:
                return
            case .flawed(let flaw):
                sendAnswer(AdminAnswer.malformedHTTP(flaw), on: connection)
            case .request(let request):
                sendAnswer(await answerRequest(request.head), on: connection)
            }
        }
    }

    private func sendAnswer(_ answer: AdminAnswer, on connection: HTTPServerConnection) {
        connection.respond(answer.response, body: answer.body)
    }

    private func answerRequest(_ head: HTTPRequestHead) async -> AdminAnswer {
        // No page has business here, and a name that an attacker made point here is no name of Remora's: see `Door`.
        guard head.fields.first("origin") == nil else { return .text(403, "No web page may ask here.\n") }
        guard settings.door.allowsHost(of: head) else {
            return .text(421, "Remora does not answer to that Host here. Add it to admin.allowed_hosts if it should.\n")
        }
        guard head.method == .get || head.method == .head else { return .wrongMethod }
        switch String(decoding: head.path, as: UTF8.self) {
        case "/healthz": return .text(200, "alive\n")
        case "/readyz": return await readinessAnswer()
        case "/metrics": return .metrics(MetricsPage.pageText(await makeOverview()))
        case "/status": return await statusAnswer(prefersJSON: AdminService.prefersJSON(head))
        case "/status.json": return await statusAnswer(prefersJSON: true)
        case "/": return .seeStatus
        default: return .text(404, "Here are /status, /status.json, /metrics, /healthz and /readyz.\n")
        }
    }

    private func readinessAnswer() async -> AdminAnswer {
        if isDraining { return .text(503, "draining\n") }
        // Shorter than the second that Kubernetes gives a probe.
        let isReachable = await workers[0].checkBackend(patience: .milliseconds(800))
        return isReachable ? .text(200, "ready\n") : .text(503, "the MCP server cannot be reached\n")
    }

    private func statusAnswer(prefersJSON: Bool) async -> AdminAnswer {
        let overview = await makeOverview()
        return prefersJSON ? .json(StatusDocument.documentText(overview)) : .page(StatusPage.pageText(overview))
    }

    /// A browser names HTML first, and a program that wants JSON names JSON (RFC 9110 §12.5.1, as far as two types need
    /// it).
    private static func prefersJSON(_ head: HTTPRequestHead) -> Bool {
        var json = false
        for line in head.fields.lines(named: Array("accept".utf8)) {
            for item in line.value.bytes.split(separator: UInt8(ascii: ",")) {
                let type = String(decoding: item.drop { $0 == UInt8(ascii: " ") }, as: UTF8.self).lowercased()
                if type.hasPrefix("text/html") { return false }
                if type.hasPrefix("application/json") { json = true }
            }
        }
        return json
    }
}
