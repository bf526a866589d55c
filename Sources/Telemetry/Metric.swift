/// A metric as `/metrics` names it. This file has every name there is.
///
/// Names and units are those of OpenTelemetry's semantic conventions, where these have one (`mcp.server.operation.duration`
/// of "Semantic conventions for Model Context Protocol", `http.server.*` and `http.client.*` of the HTTP ones), in
/// Prometheus' spelling; those of the process are what Prometheus' own clients use. What is Remora's alone begins with
/// `remora_`.
package struct Metric: Sendable {
    package enum Kind: String, Sendable {
        case counter, gauge, histogram, summary
    }

    package let name: String
    package let kind: Kind
    /// One line, for a person who has found the name and wonders.
    package let help: String

    private init(_ name: String, _ kind: Kind, _ help: String) {
        self.name = name
        self.kind = kind
        self.help = help
    }
}

// MARK: Requests

extension Metric {
    /// `mcp.server.operation.duration`
    package static let operationDuration = Metric(
        "mcp_server_operation_duration_seconds", .histogram,
        "Requests, from the whole request to the whole answer. error_type is missing where the answer is no error.")
    /// `http.server.active_requests`
    package static let activeRequests = Metric(
        "http_server_active_requests", .gauge, "Requests that are being answered.")
    /// `http.server.request.body.size`
    package static let requestBodySize = Metric(
        "http_server_request_body_size_bytes", .summary, "Bodies of requests.")
    /// `http.server.response.body.size`
    package static let responseBodySize = Metric(
        "http_server_response_body_size_bytes", .summary, "Bodies of answers; of a stream, its messages.")
    package static let responses = Metric(
        "remora_http_responses_total", .counter, "Answers by HTTP status; 499 where the client had gone.")
    package static let errors = Metric(
        "remora_errors_total", .counter, "Answers that are JSON-RPC errors, by the side that the cause is on.")
    package static let backendErrors = Metric(
        "remora_backend_errors_total", .counter, "Requests that the server gave no usable answer to, by what happened.")
    package static let notifications = Metric(
        "remora_notifications_forwarded_total", .counter, "Notifications sent to clients before their answers.")
    package static let toleratedRequests = Metric(
        "remora_tolerated_requests_total", .counter,
        "Requests that were let in with what listen.tolerate names, by what it is.")
}

// MARK: Sessions and connections

extension Metric {
    package static let sessions = Metric(
        "remora_sessions", .gauge, "Sessions with the server, by state.")
    package static let sessionsOpened = Metric(
        "remora_sessions_opened_total", .counter, "Handshakes that gave a session.")
    package static let sessionsFailed = Metric(
        "remora_sessions_failed_total", .counter, "Handshakes that gave none.")
    package static let sessionsLost = Metric(
        "remora_sessions_lost_total", .counter, "Sessions taken from their callers before they were idle, by why.")
    package static let sessionsEvicted = Metric(
        "remora_sessions_evicted_total", .counter, "Idle sessions closed to make room for another caller's.")
    package static let sessionsExpired = Metric(
        "remora_sessions_expired_total", .counter, "Sessions closed after sessions.idle_timeout.")
    package static let sessionsUntold = Metric(
        "remora_sessions_untold_total", .counter,
        "Sessions closed without a word to the server, which ends them more slowly than callers come.")
    /// `mcp.client.session.duration`: toward the server, Remora is the client.
    package static let sessionDuration = Metric(
        "mcp_client_session_duration_seconds", .histogram, "Sessions that have ended, from handshake to end.")
    package static let clientConnections = Metric(
        "remora_client_connections", .gauge, "Connections of clients.")
    /// `http.client.open_connections`
    package static let backendConnections = Metric(
        "http_client_open_connections", .gauge, "Connections to a backend that wait for their next request.")
    package static let backendConnects = Metric(
        "remora_backend_connects_total", .counter, "Connections made to a backend.")
    package static let backendConnectFailures = Metric(
        "remora_backend_connect_failures_total", .counter, "Attempts to connect to a backend that failed.")
    package static let backendReachable = Metric(
        "remora_backend_reachable", .gauge, "Whether the last attempt to connect to a backend succeeded.")
    package static let backendLoad = Metric(
        "remora_backend_load", .gauge, "Sessions on a backend, and requests that are forwarded to it.")
    package static let backendAside = Metric(
        "remora_backend_aside", .gauge, "Whether a backend gets no new sessions for a while, because it has failed.")
}

// MARK: What is kept for clients

extension Metric {
    package static let listeners = Metric(
        "remora_listeners", .gauge, "Subscriptions (subscriptions/listen) that are served.")
    package static let keptLists = Metric("remora_list_cache_lists", .gauge, "Lists of servers that are kept.")
    package static let keptListBytes = Metric("remora_list_cache_bytes", .gauge, "Bytes of lists that are kept.")
}

// MARK: Other replicas

extension Metric {
    package static let peerRefusals = Metric(
        "remora_peer_refusals_total", .counter,
        "Requests between replicas that were not let in, by the replica that counts them: the one that refused (here), or "
            + "the one that was refused or not answered (there).")
}

// MARK: The store

extension Metric {
    package static let storeReachable = Metric(
        "remora_store_reachable", .gauge, "Whether the store does what it is asked, as far as that is known.")
    package static let storeCommands = Metric(
        "remora_store_commands_total", .counter, "Commands that were sent to the store.")
    package static let storeErrors = Metric(
        "remora_store_errors_total", .counter,
        "Connections to the store that were not made or ended, and commands that were not sent, by why.")
}

// MARK: The configuration

extension Metric {
    package static let reloads = Metric(
        "remora_reloads_total", .counter, "How often the configuration was read anew, by what came of it.")
    package static let lastReload = Metric(
        "remora_last_reload_time_seconds", .gauge, "When it was read anew last, in seconds since 1970.")
    package static let lastReloadSucceeded = Metric(
        "remora_last_reload_success", .gauge, "Whether what was read last was taken over.")
    package static let certificateExpiry = Metric(
        "remora_certificate_expiry_time_seconds", .gauge,
        "When a certificate that is shown expires, or one of its chain, in seconds since 1970.")
}

// MARK: Calls that wait for their clients

extension Metric {
    package static let parkedCalls = Metric(
        "remora_parked_calls", .gauge, "Calls that asked their clients: parked, or with a response that is kept.")
    package static let rounds = Metric(
        "remora_input_required_total", .counter, "Answers that asked the client something.")
    package static let questions = Metric(
        "remora_input_requests_total", .counter, "Questions in these answers.")
    package static let interactions = Metric(
        "remora_interactions_total", .counter, "Calls that had asked their clients, by what became of them.")
    package static let refusedRequestStates = Metric(
        "remora_request_states_refused_total", .counter, "Retries whose requestState was not valid, or not any more.")
    package static let refusedQuestions = Metric(
        "remora_questions_refused_total", .counter,
        "First questions for which there was no place (interaction.max_parked).")
    package static let refusedAnswers = Metric(
        "remora_answers_refused_total", .counter, "Retries whose answers were not delivered, by reason.")
}

// MARK: Tasks

extension Metric {
    package static let tasks = Metric("remora_tasks", .gauge, "Tasks that go on, or whose outcome is kept.")
    package static let tasksCreated = Metric(
        "remora_tasks_created_total", .counter, "Tasks that servers made, and calls that became one.")
    package static let tasksEnded = Metric("remora_tasks_ended_total", .counter, "Tasks by how they ended.")
    package static let tasksRefused = Metric(
        "remora_tasks_refused_total", .counter, "Calls that became no task for want of a place (tasks.max).")
}

// MARK: Handles

extension Metric {
    package static let handles = Metric("remora_handles", .gauge, "Sessions that clients have opened and name.")
    package static let handlesOpened = Metric("remora_handles_opened_total", .counter, "Sessions that clients opened.")
    package static let handlesEnded = Metric(
        "remora_handles_ended_total", .counter, "Sessions that clients had opened, by why they ended.")
    package static let handlesRefused = Metric(
        "remora_handles_refused_total", .counter,
        "Sessions that were not opened because their caller had enough (sessions.max_handles_per_principal).")
}

// MARK: The process

extension Metric {
    package static let logLinesDropped = Metric(
        "remora_log_lines_dropped_total", .counter, "Lines of the log that were lost because nobody read them.")
    package static let internalErrors = Metric(
        "remora_internal_errors_total", .counter,
        "Calls and connections that failed because of a mistake in Remora itself; the log has the place.")
    package static let buildInfo = Metric("remora_build_info", .gauge, "Always 1; the labels say what runs.")
    package static let threads = Metric("remora_threads", .gauge, "Event loops.")
    package static let processStart = Metric(
        "process_start_time_seconds", .gauge, "When the process began, in seconds since 1970.")
    package static let processCPU = Metric(
        "process_cpu_seconds_total", .counter, "Time on a processor, in the kernel too.")
    package static let processResidentMemory = Metric(
        "process_resident_memory_bytes", .gauge, "Memory of the process that is in RAM.")
    package static let processOpenDescriptors = Metric("process_open_fds", .gauge, "Open file descriptors.")
    package static let processMaxDescriptors = Metric("process_max_fds", .gauge, "How many may be open.")

    /// All of them, in the order in which they are rendered.
    package static let all = [
        operationDuration, activeRequests, requestBodySize, responseBodySize, responses, errors, backendErrors,
        notifications, toleratedRequests, sessions, sessionsOpened, sessionsFailed, sessionsLost, sessionsEvicted,
        sessionsExpired,
        sessionsUntold, sessionDuration, clientConnections, backendConnections, backendConnects, backendConnectFailures,
        backendReachable, backendLoad, backendAside, parkedCalls, rounds, questions, interactions, refusedRequestStates,
        refusedQuestions, refusedAnswers, tasks, tasksCreated, tasksEnded, tasksRefused, handles, handlesOpened,
        handlesEnded, handlesRefused, peerRefusals, storeReachable, storeCommands, storeErrors, listeners, keptLists,
        keptListBytes, reloads, lastReload, lastReloadSucceeded, certificateExpiry, logLinesDropped, internalErrors,
        buildInfo, threads, processStart, processCPU,
        processResidentMemory, processOpenDescriptors, processMaxDescriptors,
    ]
}
