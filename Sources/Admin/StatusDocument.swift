import Gateway
import Legacy
import MCP
import Telemetry

/// `/status.json`: what the page shows, for programs. Durations are seconds, and those of a share are the upper bounds of
/// their buckets.
enum StatusDocument {
    static func documentText(_ overview: Overview) -> [UInt8] {
        JSONWriter.documentText { json in
            json.addMember("state", overview.state.rawValue)
            json.addMember("version", Version.current)
            json.addMember("mcp_protocol_version", Revision.modern.rawValue)
            json.addMember("uptime_seconds", Int(overview.uptime.components.seconds))
            json.addMember("threads", overview.settings.threads)
            json.addObject("requests") { addRequests(overview, &$0) }
            json.addObject("errors") { addErrors(overview.counts.requests, &$0) }
            json.addList("backends", overview.counts.backends) { addBackend($0, &$1) }
            json.addObject("sessions") { addSessions(overview, &$0) }
            json.addObject("backend_errors") { json in
                for failure in BackendFailure.allCases where overview.counts.requests.failureCount(failure) > 0 {
                    json.addMember(failure.label, overview.counts.requests.failureCount(failure))
                }
            }
            json.addMember("listeners", overview.counts.subscriptions)
            json.addObject("list_cache") { json in
                json.addMember("lists", overview.counts.lists)
                json.addMember("bytes", overview.counts.listBytes)
            }
            json.addObject("reloads") { addReloads(overview.reloads, &$0) }
            json.addList("certificates", overview.settings.certificates) { certificate, json in
                json.addMember("setting", certificate.setting)
                json.addMember("expires_unix_seconds", certificate.notAfter)
            }
            json.addObject("clients") { clients in
                clients.addMember("connections", overview.counts.connections)
                clients.addMember("max_connections", overview.settings.maxConnections)
            }
            json.addObject("interaction") { json in
                let parking = overview.counts.parking
                json.addMember("parked", parking.parked)
                json.addMember("kept", parking.kept)
                json.addMember("max_parked", overview.settings.maxParked)
                json.addMember("rounds", parking.rounds)
                json.addMember("questions", parking.questions)
                json.addMember("finished", parking.finished)
                json.addMember("abandoned", parking.abandoned)
                json.addMember("lost", parking.lost)
                json.addMember("refused_states", parking.refusedStates)
                json.addMember("refused_questions", parking.full)
                json.addMember("refused_answers", parking.held + parking.unclaimed)
            }
            json.addObject("handles") { json in
                let handles = overview.counts.handles
                json.addMember("open", handles.open)
                json.addMember("opened", handles.opened)
                for end in HandleCounts.End.allCases { json.addMember(end.label, handles.endCount(end)) }
                json.addMember("refused", handles.refused)
            }
            json.addObject("tasks") { json in
                let tasks = overview.counts.tasks
                json.addMember("running", tasks.running)
                json.addMember("kept", tasks.kept)
                json.addMember("made", tasks.made)
                json.addMember("promoted", tasks.promoted)
                json.addMember("completed", tasks.completed)
                json.addMember("failed", tasks.failed)
                json.addMember("cancelled", tasks.cancelled)
                json.addMember("refused", tasks.full)
            }
            json.addObject("process") { process in
                process.addMember("resident_memory_bytes", overview.process.residentMemory)
                process.addMember("open_fds", overview.process.openDescriptors)
                process.addMember("max_fds", overview.process.maxDescriptors)
                process.addMember("log_lines_dropped", overview.droppedLogLines)
                process.addMember("internal_errors", overview.internalErrors)
            }
        }
    }

    private static func addRequests(_ overview: Overview, _ json: inout JSONWriter) {
        let requests = overview.counts.requests
        json.addMember("active", requests.active)
        json.addMember("total", requests.allDurations.count)
        json.addMember("request_bytes", requests.requestBytes)
        json.addMember("response_bytes", requests.responseBytes)
        json.addMember("notifications_forwarded", requests.notifications)
        json.addObject("recent") { recent in
            recent.addMember("period_seconds", Int(overview.recent.period.components.seconds))
            recent.addMember("count", overview.recent.durations.count)
            for (name, share) in Quantiles.shown {
                recent.addMember("\(name)_seconds", number: Quantiles.quantileSeconds(overview.recent.durations, share))
            }
        }
    }

    private static func addErrors(_ requests: RequestCounts, _ json: inout JSONWriter) {
        for side in ErrorSide.allCases {
            json.addObject("\(side.name)") { json in
                for type in ErrorType.allCases where requests.errorCount(on: side, type) > 0 {
                    json.addMember(type.label, requests.errorCount(on: side, type))
                }
            }
        }
    }

    private static func addBackend(_ backend: BackendCounts, _ json: inout JSONWriter) {
        json.addMember("url", backend.label)
        json.addMember("reachable", backend.connections.last?.succeeded)
        json.addMember("aside", backend.isAside)
        json.addMember("load", backend.load)
        json.addObject("connections") { json in
            json.addMember("idle", backend.connections.idle)
            json.addMember("made", backend.connections.made)
            json.addMember("failed", backend.connections.failed)
        }
    }

    private static func addSessions(_ overview: Overview, _ json: inout JSONWriter) {
        let sessions = overview.counts.sessions
        json.addMember("open", sessions.open)
        json.addMember("opening", sessions.opening)
        json.addMember("max", overview.settings.maxSessions)
        json.addMember("opened", sessions.opened)
        json.addMember("failed", sessions.failed)
        json.addMember("lost", sessions.lost)
        json.addMember("evicted", sessions.evicted)
        json.addMember("expired", sessions.expired)
    }

    private static func addReloads(_ reloads: ReloadCounts, _ json: inout JSONWriter) {
        json.addMember("succeeded", reloads.succeeded)
        json.addMember("failed", reloads.failed)
        json.addObject("last") { json in
            json.addMember("succeeded", reloads.last.map(\.reasons.isEmpty))
            json.addMember("unix_seconds", number: reloads.last.map { MetricsText.secondsText($0.time) })
            json.addMember("reason", reloads.last?.reasons.first)
        }
    }
}
