import Gateway
import Legacy
import MCP
import Store
import Telemetry

/// `/metrics`. How many lines it has is bounded by the sets that the labels are from, whatever clients send.
enum MetricsPage {
    static func pageText(_ overview: Overview) -> [UInt8] {
        var text = MetricsText()
        addRequests(overview.counts.requests, &text)
        addSessions(overview.counts.sessions, &text)
        addConnections(overview, &text)
        addParking(overview.counts.parking, &text)
        addTasks(overview.counts.tasks, &text)
        addHandles(overview.counts.handles, &text)
        let peers = overview.counts.peers
        text.addMetric(
            .peerRefusals, [([("side", "here")], peers.refusedHere), ([("side", "there")], peers.refusedThere)])
        if let store = overview.store { addStore(store, &text) }
        addKept(overview.counts, &text)
        addReloads(overview.reloads, &text)
        text.addMetric(
            .certificateExpiry,
            overview.settings.certificates.map { (labels: [("setting", $0.setting)], value: $0.notAfter) })
        addProcess(overview, &text)
        return text.bytes
    }

    private static func addRequests(_ requests: RequestCounts, _ text: inout MetricsText) {
        text.addMetric(.operationDuration, durationSeries(requests))
        text.addMetric(.activeRequests, requests.active)
        let count = requests.allDurations.count
        text.addMetric(.requestBodySize, sum: requests.requestBytes, count: count)
        text.addMetric(.responseBodySize, sum: requests.responseBytes, count: count)
        text.addMetric(
            .responses,
            requests.answers.map { (labels: [("http_response_status_code", "\($0.status)")], value: $0.count) })
        text.addMetric(
            .errors,
            ErrorSide.allCases.flatMap { side in
                ErrorType.allCases.compactMap { type -> MetricsText.Sample? in
                    let count = requests.errorCount(on: side, type)
                    if count == 0 { return nil }
                    return (labels: [("side", "\(side.name)"), ("error_type", type.label)], value: count)
                }
            })
        text.addMetric(
            .backendErrors,
            BackendFailure.allCases.map { (labels: [("error_type", $0.label)], value: requests.failureCount($0)) })
        text.addMetric(.notifications, requests.notifications)
        text.addMetric(.toleratedRequests, [(labels: [("what", "version_header")], value: requests.toleratedHeaders)])
    }

    /// Every method without an error, so that a rate has a start; the errors that there were.
    private static func durationSeries(_ requests: RequestCounts) -> [MetricsText.Series] {
        let methods = Method.known.map { Optional($0) } + [nil]
        return methods.flatMap { method in
            ErrorType.allCases.compactMap { type -> MetricsText.Series? in
                let histogram = requests.requestDurations(of: method, type)
                if type != .none, histogram.count == 0 { return nil }
                var labels: MetricsText.Labels = [("mcp_method_name", method.map { "\($0.name)" } ?? "_OTHER")]
                if type != .none { labels.append(("error_type", type.label)) }
                return (labels, histogram)
            }
        }
    }

    private static func addSessions(_ sessions: SessionCounts, _ text: inout MetricsText) {
        text.addMetric(
            .sessions,
            [
                ([("state", "open")], sessions.open), ([("state", "opening")], sessions.opening),
                ([("state", "ending")], sessions.ending),
            ])
        text.addMetric(.sessionsOpened, sessions.opened)
        text.addMetric(.sessionsFailed, sessions.failed)
        text.addMetric(
            .sessionsLost,
            SessionEnd.Loss.allCases.map { (labels: [("reason", "\($0.name)")], value: sessions.lossCount($0)) })
        text.addMetric(.sessionsEvicted, sessions.evicted)
        text.addMetric(.sessionsExpired, sessions.expired)
        text.addMetric(.sessionsUntold, sessions.untold)
        text.addMetric(.sessionDuration, [([], sessions.durations.histogram())])
    }

    private static func addConnections(_ overview: Overview, _ text: inout MetricsText) {
        text.addMetric(.clientConnections, overview.counts.connections)
        func add(_ metric: Metric, _ labels: MetricsText.Labels = [], _ value: (BackendCounts) -> Int?) {
            text.addMetric(
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

    private static func addKept(_ counts: WorkerCounts, _ text: inout MetricsText) {
        text.addMetric(.listeners, counts.subscriptions)
        text.addMetric(.keptLists, counts.lists)
        text.addMetric(.keptListBytes, counts.listBytes)
    }

    private static func addStore(_ store: StoreCounts, _ text: inout MetricsText) {
        text.addMetric(.storeReachable, store.isReachable ? 1 : 0)
        text.addMetric(.storeCommands, store.commands)
        text.addMetric(
            .storeErrors,
            StoreFailure.Kind.allCases.map {
                (labels: [("error_type", $0.rawValue)], value: store.failures[$0] ?? 0)
            })
    }

    private static func addReloads(_ reloads: ReloadCounts, _ text: inout MetricsText) {
        text.addMetric(
            .reloads, [([("result", "success")], reloads.succeeded), ([("result", "failure")], reloads.failed)])
        guard let last = reloads.last else { return }
        text.addMetric(.lastReload, nanoseconds: last.time)
        text.addMetric(.lastReloadSucceeded, last.reasons.isEmpty ? 1 : 0)
    }

    private static func addParking(_ parking: ParkingCounts, _ text: inout MetricsText) {
        text.addMetric(.parkedCalls, [([("state", "parked")], parking.parked), ([("state", "kept")], parking.kept)])
        text.addMetric(.rounds, parking.rounds)
        text.addMetric(.questions, parking.questions)
        text.addMetric(
            .interactions,
            [
                ([("outcome", "finished")], parking.finished), ([("outcome", "abandoned")], parking.abandoned),
                ([("outcome", "lost")], parking.lost),
            ])
        text.addMetric(.refusedRequestStates, parking.refusedStates)
        text.addMetric(.refusedQuestions, parking.full)
        text.addMetric(
            .refusedAnswers,
            [([("reason", "held_elsewhere")], parking.held), ([("reason", "store_unavailable")], parking.unclaimed)])
    }

    private static func addHandles(_ handles: HandleCounts, _ text: inout MetricsText) {
        text.addMetric(.handles, handles.open)
        text.addMetric(.handlesOpened, handles.opened)
        text.addMetric(.handlesEnded, HandleCounts.End.allCases.map { ([("reason", $0.label)], handles.endCount($0)) })
        text.addMetric(.handlesRefused, handles.refused)
    }

    private static func addTasks(_ tasks: TaskCounts, _ text: inout MetricsText) {
        text.addMetric(.tasks, [([("state", "running")], tasks.running), ([("state", "kept")], tasks.kept)])
        text.addMetric(.tasksCreated, [([("from", "server")], tasks.made), ([("from", "call")], tasks.promoted)])
        text.addMetric(
            .tasksEnded,
            [
                ([("status", "completed")], tasks.completed), ([("status", "failed")], tasks.failed),
                ([("status", "cancelled")], tasks.cancelled),
            ])
        text.addMetric(.tasksRefused, tasks.full)
    }

    private static func addProcess(_ overview: Overview, _ text: inout MetricsText) {
        text.addMetric(.logLinesDropped, overview.droppedLogLines)
        text.addMetric(.internalErrors, overview.internalErrors)
        text.addMetric(
            .buildInfo, 1, [("version", Version.current), ("mcp_protocol_version", Revision.modern.rawValue)])
        text.addMetric(.threads, overview.settings.threads)
        text.addMetric(.processStart, nanoseconds: overview.startWallClock)
        let process = overview.process
        if let time = process.processorTime { text.addMetric(.processCPU, nanoseconds: time) }
        if let bytes = process.residentMemory { text.addMetric(.processResidentMemory, bytes) }
        if let count = process.openDescriptors { text.addMetric(.processOpenDescriptors, count) }
        if let count = process.maxDescriptors { text.addMetric(.processMaxDescriptors, count) }
    }
}
