import Gateway
import Legacy
import MCP
import Telemetry

/// `/status.json`: what the page shows, for programs. Durations are seconds, and those of a share are the upper bounds of
/// their buckets.
enum StatusDocument {
    static func text(_ overview: Overview) -> [UInt8] {
        JSONWriter.text { json in
            json.add("state", overview.state.rawValue)
            json.add("version", Version.current)
            json.add("mcp_protocol_version", Revision.modern.rawValue)
            json.add("uptime_seconds", Int(overview.uptime.components.seconds))
            json.add("threads", overview.settings.threads)
            json.object("requests") { requests(overview, &$0) }
            json.object("errors") { errors(overview.counts.requests, &$0) }
            json.list("backends", overview.counts.backends) { backend($0, &$1) }
            json.object("sessions") { sessions(overview, &$0) }
            json.object("backend_errors") { json in
                for failure in BackendFailure.allCases where overview.counts.requests.failures(failure) > 0 {
                    json.add(failure.label, overview.counts.requests.failures(failure))
                }
            }
            json.add("listeners", overview.counts.listeners)
            json.object("list_cache") { json in
                json.add("lists", overview.counts.lists)
                json.add("bytes", overview.counts.listBytes)
            }
            json.object("reloads") { reloads(overview.reloads, &$0) }
            json.list("certificates", overview.settings.certificates) { certificate, json in
                json.add("setting", certificate.setting)
                json.add("expires_unix_seconds", certificate.notAfter)
            }
            json.object("clients") { clients in
                clients.add("connections", overview.counts.connections)
                clients.add("max_connections", overview.settings.maxConnections)
            }
            json.object("interaction") { json in
                let parking = overview.counts.parking
                json.add("parked", parking.parked)
                json.add("kept", parking.kept)
                json.add("max_parked", overview.settings.maxParked)
                json.add("rounds", parking.rounds)
                json.add("questions", parking.questions)
                json.add("finished", parking.finished)
                json.add("abandoned", parking.abandoned)
                json.add("lost", parking.lost)
                json.add("refused_states", parking.refusedStates)
                json.add("refused_questions", parking.full)
            }
            json.object("process") { process in
                process.add("resident_memory_bytes", overview.process.residentMemory)
                process.add("open_fds", overview.process.openDescriptors)
                process.add("max_fds", overview.process.maxDescriptors)
                process.add("log_lines_dropped", overview.droppedLogLines)
                process.add("internal_errors", overview.internalErrors)
            }
        }
    }

    private static func requests(_ overview: Overview, _ json: inout JSONWriter) {
        let requests = overview.counts.requests
        json.add("active", requests.active)
        json.add("total", requests.allDurations.count)
        json.add("request_bytes", requests.requestBytes)
        json.add("response_bytes", requests.responseBytes)
        json.add("notifications_forwarded", requests.notifications)
        json.object("recent") { recent in
            recent.add("period_seconds", Int(overview.recent.period.components.seconds))
            recent.add("count", overview.recent.durations.count)
            for (name, share) in Quantiles.shown {
                recent.add("\(name)_seconds", number: Quantiles.seconds(overview.recent.durations, share))
            }
        }
    }

    private static func errors(_ requests: RequestCounts, _ json: inout JSONWriter) {
        for side in ErrorSide.allCases {
            json.object("\(side.name)") { json in
                for type in ErrorType.allCases where requests.errors(on: side, type) > 0 {
                    json.add(type.label, requests.errors(on: side, type))
                }
            }
        }
    }

    private static func backend(_ backend: BackendCounts, _ json: inout JSONWriter) {
        json.add("url", backend.label)
        json.add("reachable", backend.connections.last?.succeeded)
        json.add("aside", backend.isAside)
        json.add("load", backend.load)
        json.object("connections") { json in
            json.add("idle", backend.connections.idle)
            json.add("made", backend.connections.made)
            json.add("failed", backend.connections.failed)
        }
    }

    private static func sessions(_ overview: Overview, _ json: inout JSONWriter) {
        let sessions = overview.counts.sessions
        json.add("open", sessions.open)
        json.add("opening", sessions.opening)
        json.add("max", overview.settings.maxSessions)
        json.add("opened", sessions.opened)
        json.add("failed", sessions.failed)
        json.add("lost", sessions.lost)
        json.add("evicted", sessions.evicted)
        json.add("expired", sessions.expired)
    }

    private static func reloads(_ reloads: ReloadCounts, _ json: inout JSONWriter) {
        json.add("succeeded", reloads.succeeded)
        json.add("failed", reloads.failed)
        json.object("last") { json in
            json.add("succeeded", reloads.last.map(\.reasons.isEmpty))
            json.add("unix_seconds", number: reloads.last.map { MetricsText.seconds($0.time) })
            json.add("reason", reloads.last?.reasons.first)
        }
    }
}
