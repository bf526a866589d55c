import Gateway
import Legacy
import MCP
import Telemetry

/// `/metrics`. How many lines it has is bounded by the sets that the labels are from, whatever clients send.
enum MetricsPage {
    static func text(_ overview: Overview) -> [UInt8] {
        var text = MetricsText()
        requests(overview.counts.requests, &text)
        sessions(overview.counts.sessions, &text)
        connections(overview, &text)
        parking(overview.counts.parking, &text)
        let peers = overview.counts.peers
        text.add(
            .peerRefusals, [([("side", "here")], peers.refusedHere), ([("side", "there")], peers.refusedThere)])
        kept(overview.counts, &text)
        reloads(overview.reloads, &text)
        text.add(
            .certificateExpiry,
            overview.settings.certificates.map { (labels: [("setting", $0.setting)], value: $0.notAfter) })
        process(overview, &text)
        return text.bytes
    }

    private static func requests(_ requests: RequestCounts, _ text: inout MetricsText) {
        text.add(.operationDuration, durations(requests))
        text.add(.activeRequests, requests.active)
        let count = requests.allDurations.count
        text.add(.requestBodySize, sum: requests.requestBytes, count: count)
        text.add(.responseBodySize, sum: requests.responseBytes, count: count)
        text.add(
            .responses,
            requests.answers.map { (labels: [("http_response_status_code", "\($0.status)")], value: $0.count) })
        text.add(
            .errors,
            ErrorSide.allCases.flatMap { side in
                ErrorType.allCases.compactMap { type -> MetricsText.Sample? in
                    let count = requests.errors(on: side, type)
                    if count == 0 { return nil }
                    return (labels: [("side", "\(side.name)"), ("error_type", type.label)], value: count)
                }
            })
        text.add(
            .backendErrors,
            BackendFailure.allCases.map { (labels: [("error_type", $0.label)], value: requests.failures($0)) })
        text.add(.notifications, requests.notifications)
        text.add(.toleratedRequests, [(labels: [("what", "version_header")], value: requests.toleratedHeaders)])
    }

    /// Every method without an error, so that a rate has a start; the errors that there were.
    private static func durations(_ requests: RequestCounts) -> [MetricsText.Series] {
        let methods = Method.known.map { Optional($0) } + [nil]
        return methods.flatMap { method in
            ErrorType.allCases.compactMap { type -> MetricsText.Series? in
                let histogram = requests.durations(of: method, type)
                if type != .none, histogram.count == 0 { return nil }
                var labels: MetricsText.Labels = [("mcp_method_name", method.map { "\($0.name)" } ?? "_OTHER")]
                if type != .none { labels.append(("error_type", type.label)) }
                return (labels, histogram)
            }
        }
    }

    private static func sessions(_ sessions: SessionCounts, _ text: inout MetricsText) {
        text.add(
            .sessions,
            [
                ([("state", "open")], sessions.open), ([("state", "opening")], sessions.opening),
                ([("state", "ending")], sessions.ending),
            ])
        text.add(.sessionsOpened, sessions.opened)
        text.add(.sessionsFailed, sessions.failed)
        text.add(
            .sessionsLost,
            SessionEnd.Loss.allCases.map { (labels: [("reason", "\($0.name)")], value: sessions.lost($0)) })
        text.add(.sessionsEvicted, sessions.evicted)
        text.add(.sessionsExpired, sessions.expired)
        text.add(.sessionsUntold, sessions.untold)
        text.add(.sessionDuration, [([], sessions.durations.histogram())])
    }

    private static func connections(_ overview: Overview, _ text: inout MetricsText) {
        text.add(.clientConnections, overview.counts.connections)
        func add(_ metric: Metric, _ labels: MetricsText.Labels = [], _ value: (BackendCounts) -> Int?) {
            text.add(
                metric,
                overview.counts.backends.compactMap { backend in
                    value(backend).map { (labels: labels + [("backend", backend.label)], value: $0) }
                })
        }
        add(.backendConnections, [("http_connection_state", "idle")]) { $0.connections.idle }
        add(.backendConnects) { $0.connections.made }
        add(.backendConnectFailures) { $0.connections.failed }
        add(.backendReachable) { $0.connections.last.map { $0.succeeded ? 1 : 0 } }
        add(.backendLoad) { $0.load }
        add(.backendAside) { $0.isAside ? 1 : 0 }
    }

    private static func kept(_ counts: ShardCounts, _ text: inout MetricsText) {
        text.add(.listeners, counts.listeners)
        text.add(.keptLists, counts.lists)
        text.add(.keptListBytes, counts.listBytes)
    }

    private static func reloads(_ reloads: ReloadCounts, _ text: inout MetricsText) {
        text.add(
            .reloads, [([("result", "success")], reloads.succeeded), ([("result", "failure")], reloads.failed)])
        guard let last = reloads.last else { return }
        text.add(.lastReload, nanoseconds: last.time)
        text.add(.lastReloadSucceeded, last.reasons.isEmpty ? 1 : 0)
    }

    private static func parking(_ parking: ParkingCounts, _ text: inout MetricsText) {
        text.add(.parkedCalls, [([("state", "parked")], parking.parked), ([("state", "kept")], parking.kept)])
        text.add(.rounds, parking.rounds)
        text.add(.questions, parking.questions)
        text.add(
            .interactions,
            [
                ([("outcome", "finished")], parking.finished), ([("outcome", "abandoned")], parking.abandoned),
                ([("outcome", "lost")], parking.lost),
            ])
        text.add(.refusedRequestStates, parking.refusedStates)
        text.add(.refusedQuestions, parking.full)
    }

    private static func process(_ overview: Overview, _ text: inout MetricsText) {
        text.add(.logLinesDropped, overview.droppedLogLines)
        text.add(.internalErrors, overview.internalErrors)
        text.add(.buildInfo, 1, [("version", Version.current), ("mcp_protocol_version", Revision.modern.rawValue)])
        text.add(.threads, overview.settings.threads)
        text.add(.processStart, nanoseconds: overview.startWallClock)
        let process = overview.process
        if let time = process.processorTime { text.add(.processCPU, nanoseconds: time) }
        if let bytes = process.residentMemory { text.add(.processResidentMemory, bytes) }
        if let count = process.openDescriptors { text.add(.processOpenDescriptors, count) }
        if let count = process.maxDescriptors { text.add(.processMaxDescriptors, count) }
    }
}
