/// How the server answers a call, which the caller chooses.
enum Plan: Character, CaseIterable {
    // What has to be answered.
    case json = "j"
    /// In pieces, with pauses.
    case piecewise = "k"
    case chunked = "c"
    case events = "s"
    /// Every byte by itself, or nearly, with comments before and behind.
    case interleaved = "t"
    /// The response and a comment in one packet; the end of the stream 60 ms later.
    case late = "l"
    /// The same after a pause in which the caller can say more.
    case later = "L"
    case lateComments = "m"
    /// As `later`, with a text of the caller's in its end, of which the second half comes later still.
    case echo = "E"
    /// A notification that no call wants, above `stream_buffer`, and much behind it.
    case buried = "n"
    case closing = "x"
    case untilClose = "u"
    /// Before the body of the request is read.
    case early = "b"
    /// A large answer.
    case large = "B"

    // What fails.
    case reset = "r"
    case cut = "e"
    case garbage = "g"
    case never = "w"

    var isAnswered: Bool {
        switch self {
        case .reset, .cut, .garbage, .never: false
        default: true
        }
    }

    /// One of an honest caller: of each kind as many in ten thousand.
    static func honest(_ chance: inout Chance) -> Plan {
        let weights: [(Plan, Int)] = [
            (.json, 4500), (.events, 2000), (.piecewise, 800), (.chunked, 800), (.interleaved, 500), (.late, 500),
            (.lateComments, 300), (.closing, 200), (.untilClose, 150), (.reset, 60), (.cut, 60), (.garbage, 60),
            (.large, 20), (.buried, 5), (.early, 5),
        ]
        var rest = chance.number(0...weights.reduce(0) { $0 + $1.1 } - 1)
        for (plan, weight) in weights {
            if rest < weight { return plan }
            rest -= weight
        }
        return .json
    }
}
