import Admin
import Configuration
package import Gateway
import MCP
package import Reactor
import Store
package import Telemetry

/// The running of Remora: makes everything, runs it, takes over another configuration when asked to, and drains it when
/// asked to end. It lives on the first loop.
package final class Server {
    let source: ConfigurationSource
    package let log: Log
    let secrets: Secrets
    package let loops: [Loop]
    package let workers: [Worker]
    let admin: AdminService
    private let peers: PeerDoor?
    /// What finds other replicas; nil where there is no store.
    private let membership: Membership?
    /// What is in force.
    var wiring: Wiring
    var reloads = ReloadCounts()
    /// Whether the configuration is being read, and whether it is to be read once more after that.
    var isReloading = false
    var isReloadDue = false
    /// When it was asked to end; nil before.
    private var drainStart: Instant?
    var isDraining: Bool { drainStart != nil }
    /// When the process is to have ended, once it was asked to.
    private var endOfShutdown = Instant.now

    /// For so long a further signal is the same wish to end: wrappers pass one on that their whole process group got.
    private static let signalEcho: Duration = .seconds(1)

    /// What the log has at least for its last lines, where the end has taken all of `limits.shutdown_timeout`. A reader that
    /// takes nothing for longer does not hold up the end.
    private static let lastWords: Duration = .milliseconds(100)

    var main: Loop { loops[0] }

    /// Runs until SIGTERM or SIGINT, and then until what was in flight is done.
    package static func runServer(_ source: ConfigurationSource) {
        let server = Server(source)
        let watches = [
            SignalWatch(SignalWatch.terminate, on: server.main) { server.handleSignal() },
            SignalWatch(SignalWatch.interrupt, on: server.main) { server.handleSignal() },
            SignalWatch(SignalWatch.hangup, on: server.main) { server.reloadConfiguration() },
        ]
        server.startServing()
        for loop in server.loops.dropFirst() { loop.runOnNewThread() }
        server.main.runLoop()
        for loop in server.loops.dropFirst() { loop.joinThread() }
        withExtendedLifetime(watches) {}
        server.log.write(.info, "stopped")
        server.log.flushLines(within: max(Server.lastWords, server.endOfShutdown - .now))
    }

    /// Has every loop begin to serve when it runs.
    package func startServing() {
        let workers = workers
        for worker in workers {
            worker.loop.post {
                await worker.connectLoops(workers)
                await worker.startListening()
            }
        }
        guard let peers else { return }
        main.post { await peers.startListening() }
        // Nothing waits for the store.
        membership?.startSharing()
    }

    /// Makes everything, and listens. Ends the process where the configuration is wrong, or an address cannot be had.
    package init(_ source: ConfigurationSource) {
        let configuration = source.loadConfiguration()
        self.source = source
        log = Log(level: configuration.log.logLevel, format: configuration.log.lineFormat)
        secrets = Secrets(configuration)
        wiring = Wiring(configuration, secrets: secrets, log: log)
        loops = (0..<configuration.threads).map { _ in Loop() }
        let address: SocketAddress
        do throws(SystemError) {
            (workers, address) = try wiring.makeWorkers(on: loops)
        } catch {
            Server.failToListen(error, "listen", configuration.listen.address)
        }
        let scheme = wiring.scheme
        log.write(.info, "listening") { line in
            line.field("address", "\(address)")
            if configuration.listen.tls != nil { line.field("scheme", scheme) }
            line.field("path", configuration.listen.path)
            line.field("version", Version.current)
        }
        admin = AdminService(on: loops[0], workers: workers, settings: wiring.adminSettings, log: log)
        do throws(SystemError) {
            if let address = wiring.adminAddress { try admin.useListener(admin.makeListener(on: address)) }
        } catch {
            // Only to listen there can fail.
            guard let address = configuration.admin.address else { preconditionFailure("a listener that is off") }
            Server.failToListen(error, "admin", address)
        }
        do throws(SystemError) {
            peers = try wiring.peerDoor(on: loops[0], workers: workers)
        } catch {
            // Only to listen for them can fail.
            guard let group = configuration.replicas.group else { preconditionFailure("a listener for no replicas") }
            Server.failToListen(error, "replicas", .tcp(host: group.address, port: group.port))
        }
        if let peers, let store = wiring.makeStore(on: loops[0], tells: true) {
            membership = wiring.makeMembership(store, address: peers.address, workers: workers, on: loops[0])
            admin.store = store
        } else {
            membership = nil
        }
    }

    // MARK: The end

    /// The first signal asks to end well; one that comes ``signalEcho`` later ends at once.
    package func handleSignal() {
        if let drainStart {
            guard main.now - drainStart < Server.signalEcho else { Exit.failure() }
            return
        }
        drainStart = main.now
        let timeout = wiring.configuration.limits.shutdownTimeout
        log.write(.info, "draining") { $0.field("timeout_ms", milliseconds: timeout) }
        endOfShutdown = main.now + timeout
        main.spawn { await self.drainService(timeout: timeout) }
    }

    /// The admin listener stays until the last call has ended: who looks then wants to know why it takes so long. So
    /// does that for replicas: retries come to them now, and their calls are here.
    private func drainService(timeout: Duration) async {
        admin.markDraining()
        await peers?.drainRetries()
        let time = DrainTime(from: main.now, timeout: timeout)
        // A client may come back for its call on any loop.
        await withTaskGroup(of: Void.self) { group in
            for worker in workers { group.addTask { await worker.stopAccepting(until: time.endOfParking) } }
        }
        await withTaskGroup(of: Void.self) { group in
            for worker in workers { group.addTask { await worker.drainConnections(in: time) } }
        }
        await peers?.closeListener()
        membership?.endSharing()
        admin.closeService()
        for worker in workers { worker.loop.post { worker.loop.stopLoop() } }
    }

    /// - Parameter section: of the configuration, which has the address.
    private static func failToListen(_ error: SystemError, _ section: String, _ address: ListenAddress) -> Never {
        Console.complain("remora: \(listenAdvice(error, section, address))")
        Exit.failure()
    }

    static func listenAdvice(_ error: SystemError, _ section: String, _ address: ListenAddress) -> String {
        let advice =
            error.isAddressInUse
            ? "another program uses it: stop it, or set \(section).address to another one"
            : "check \(section).address"
        return "cannot listen on \(address): \(error.reason); \(advice)"
    }
}

extension Configuration.Log {
    var logLevel: LogLevel {
        switch level {
        case .error: .error
        case .warning: .warning
        case .info: .info
        case .debug: .debug
        }
    }

    var lineFormat: LogLine.Format { format == .json ? .json : .text }
}
