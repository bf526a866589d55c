import HTTPTransport
import HTTPWire
import Telemetry

/// What the admin listener answers with.
struct AdminAnswer {
    let response: HTTPResponse
    let body: [UInt8]

    /// - Parameter csp: what the answer may do in a browser.
    private init(
        _ status: Int, _ contentType: StaticString, _ body: [UInt8],
        csp: StaticString = "default-src 'none'; frame-ancestors 'none'", fields: [(StaticString, StaticString)] = [],
        closes: Bool = false
    ) {
        let all = AdminAnswer.protection + [("content-security-policy", csp)] + fields
        response = HTTPResponse(
            status: status, contentType: contentType,
            fields: all.map { (name: $0.0, value: Array("\($0.1)".utf8)) }, closes: closes)
        self.body = body
    }

    /// Nothing guesses a type, keeps a copy, shows it in a frame or tells where a link was followed from.
    private static let protection: [(StaticString, StaticString)] = [
        ("x-content-type-options", "nosniff"), ("cache-control", "no-store"),
        ("cross-origin-resource-policy", "same-origin"), ("referrer-policy", "no-referrer"),
    ]

    static func text(_ status: Int, _ text: String) -> AdminAnswer {
        AdminAnswer(status, "text/plain; charset=utf-8", Array(text.utf8))
    }

    static func metrics(_ text: [UInt8]) -> AdminAnswer { AdminAnswer(200, MetricsText.contentType, text) }

    static func json(_ text: [UInt8]) -> AdminAnswer { AdminAnswer(200, "application/json", text) }

    static func page(_ text: String) -> AdminAnswer {
        AdminAnswer(
            200, "text/html; charset=utf-8", Array(text.utf8),
            csp: """
                default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; \
                frame-ancestors 'none'
                """)
    }

    static let wrongMethod = AdminAnswer(
        405, "text/plain; charset=utf-8", Array("Nothing is changed here: GET or HEAD.\n".utf8),
        fields: [("allow", "GET, HEAD")])

    static let seeStatus = AdminAnswer(
        303, "text/plain; charset=utf-8", Array("See /status.\n".utf8), fields: [("location", "/status")])

    static func malformedHTTP(_ flaw: HTTPRequestFlaw) -> AdminAnswer {
        let (status, text) =
            switch flaw {
            case .malformed(let error): (error.suggestedStatus, "The request is not valid HTTP/1.1: \(error).\n")
            case .bodyTooLarge: (413, "Send no body.\n")
            case .timedOut: (408, "The request did not arrive in time.\n")
            }
        return AdminAnswer(status, "text/plain; charset=utf-8", Array(text.utf8), closes: true)
    }
}
