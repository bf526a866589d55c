/// How a server answers a call.
enum Way: String, CaseIterable {
    // What has to be answered.
    case json, chunked, events, progress, pinging, late, logs
    case closing, untilClose
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

    // What fails, or takes long.
    case slow
    case rateLimited, unauthorized
    case cut, reset, internalError, garbage, never, lost

    /// Each is answered, whatever the caller.
    static let kind: [(Way, Int)] = [
        (.json, 30), (.chunked, 10), (.events, 20), (.progress, 10), (.pinging, 5), (.late, 10), (.closing, 5),
        (.untilClose, 3), (.logs, 5), (.asks, 20), (.asksAside, 5), (.toolError, 2), (.error, 2), (.withdraws, 4),
        (.page, 4),
        (.resumes, 4), (.resumesAsking, 4),
    ]
    static let mixed: [(Way, Int)] = [(.slow, 3), (.rateLimited, 2), (.unauthorized, 1), (.lost, 3)]
    static let broken: [(Way, Int)] = [
        (.cut, 5), (.reset, 5), (.internalError, 4), (.garbage, 3), (.never, 3), (.lost, 5),
    ]

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
        case .page: "  page in session %"
        case .resumes: "  resumes in session %"
        case .resumesAsking: "  resumesAsking in session %"
        }
    }
}
