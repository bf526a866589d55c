/// How a server answers a call.
enum Way: String, CaseIterable {
    // What has to be answered.
    case json, chunked, events, progress, pinging, late, logs
    case closing, untilClose
    /// Much progress, before a question or the response.
    case flood
    /// Responds twice, or to something that was not asked before.
    case twice, another
    /// Asks the client, if it can be asked.
    case asks
    /// Asks on the session's GET stream, where there is one.
    case asksAside
    /// Takes its question back after a moment.
    case withdraws
    /// Wants a page visited.
    case page
    /// Ends the stream before the response, which comes on the stream that takes it up; the second asks before.
    case resumes, resumesAsking
    /// An error of the tool's, and one of JSON-RPC.
    case toolError, error

    /// Takes the request, and responds on the GET stream.
    case elsewhere

    // What fails, or takes long.
    case slow
    case rateLimited, unauthorized
    case cut, reset, internalError, garbage, never, lost
    /// Ends the session in the middle of its calls.
    case dropped

    /// Each is answered, whatever the caller.
    static let kind: [(Way, Int)] = [
        (.json, 30), (.chunked, 10), (.events, 20), (.progress, 10), (.pinging, 5), (.late, 10), (.closing, 5),
        (.untilClose, 3), (.logs, 5), (.asks, 20), (.asksAside, 5), (.toolError, 2), (.error, 2), (.withdraws, 6),
        (.page, 4),
        (.resumes, 4), (.resumesAsking, 8), (.flood, 6), (.twice, 2), (.another, 2),
    ]
    static let mixed: [(Way, Int)] = [(.slow, 3), (.rateLimited, 2), (.unauthorized, 1), (.lost, 3), (.elsewhere, 3)]
    static let broken: [(Way, Int)] = [
        (.cut, 5), (.reset, 5), (.internalError, 4), (.garbage, 3), (.never, 3), (.lost, 5), (.dropped, 2),
    ]

    /// The same of a server that keeps no sessions.
    var withoutSessions: Way {
        switch self {
        case .pinging, .asks, .asksAside, .withdraws, .page, .resumes, .resumesAsking, .elsewhere, .twice, .another:
            .events
        case .lost, .dropped: .reset
        default: self
        }
    }

    /// The same of a server whose sessions have one stream each.
    var onOneStream: Way {
        switch self {
        case .chunked, .late, .closing, .untilClose, .resumes, .elsewhere, .rateLimited, .unauthorized: .events
        case .resumesAsking, .asksAside: .asks
        case .cut, .reset, .lost: .dropped
        case .garbage, .internalError: .never
        default: self
        }
    }

    /// For the trace, with the session.
    var name: StaticString {
        switch self {
        case .json: "  json in session %"
        case .chunked: "  chunked in session %"
        case .events: "  events in session %"
        case .progress: "  progress in session %"
        case .pinging: "  pinging in session %"
        case .late: "  late in session %"
        case .logs: "  logs in session %"
        case .closing: "  closing in session %"
        case .untilClose: "  untilClose in session %"
        case .asks: "  asks in session %"
        case .asksAside: "  asksAside in session %"
        case .toolError: "  toolError in session %"
        case .error: "  error in session %"
        case .slow: "  slow in session %"
        case .rateLimited: "  rateLimited in session %"
        case .unauthorized: "  unauthorized in session %"
        case .cut: "  cut in session %"
        case .reset: "  reset in session %"
        case .internalError: "  internalError in session %"
        case .garbage: "  garbage in session %"
        case .never: "  never in session %"
        case .lost: "  lost in session %"
        case .withdraws: "  withdraws in session %"
        case .flood: "  flood in session %"
        case .twice: "  twice in session %"
        case .another: "  another in session %"
        case .elsewhere: "  elsewhere in session %"
        case .dropped: "  dropped in session %"
        case .page: "  page in session %"
        case .resumes: "  resumes in session %"
        case .resumesAsking: "  resumesAsking in session %"
        }
    }
}
