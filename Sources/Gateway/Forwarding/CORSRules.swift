import HTTPTransport
import HTTPWire

/// What a browser is told so that a page of an allowed origin can call (the Fetch standard, "CORS protocol").
///
/// The origin is named, never `*`. Nothing allows cookies: a page shows its token in `Authorization`, by its own hand.
struct CORSRules {
    /// Fields that a page may send (2026-07-28, basic/transports/streamable-http; 2025-11-25, basic/transports).
    private static let definedFields =
        "content-type, authorization, mcp-protocol-version, mcp-method, mcp-name, mcp-session-id, last-event-id"
    /// Two hours: the longest that Chromium remembers.
    private static let maxAge = Array("7200".utf8)
    private static let parameterPrefix = Array("mcp-param-".utf8)

    private let methods: [UInt8]
    private let exposed: [UInt8]
    private let allowedFields: [UInt8]

    /// - Parameters:
    ///   - passesLegacyClients: whether GET and DELETE, and session ids, are of use to a page.
    ///   - passed: names of fields that go on to the server, in lower case.
    init(passesLegacyClients: Bool, passed: [String] = []) {
        let further = passed.filter { $0 != "authorization" }
        allowedFields = Array(([CORSRules.definedFields] + further).joined(separator: ", ").utf8)
        methods = Array((passesLegacyClients ? "POST, GET, DELETE" : "POST").utf8)
        exposed = Array((passesLegacyClients ? "WWW-Authenticate, Mcp-Session-Id" : "WWW-Authenticate").utf8)
    }

    /// What goes into every answer to a page of this origin, which must be an allowed one.
    func answerFields(to origin: HTTPFieldValue) -> [(name: StaticString, value: [UInt8])] {
        [
            ("access-control-allow-origin", Array(origin.bytes)), ("access-control-expose-headers", exposed),
            ("vary", Array("Origin".utf8)),
        ]
    }

    /// Whether a browser asks what it may send.
    static func isPreflight(_ head: HTTPRequestHead) -> Bool {
        head.method == .options && head.fields.first("access-control-request-method") != nil
    }

    /// The answer to that.
    ///
    /// - Parameter isEndpoint: whether it asks about the MCP endpoint; the documents beside it are for GET and POST.
    func preflight(_ head: HTTPRequestHead, isEndpoint: Bool) -> HTTPResponse {
        HTTPResponse(
            status: 204,
            fields: [
                ("access-control-allow-methods", isEndpoint ? methods : Array("GET, POST".utf8)),
                ("access-control-allow-headers", allowedFields(head)), ("access-control-max-age", CORSRules.maxAge),
                ("vary", Array("Access-Control-Request-Headers".utf8)),
            ])
    }

    /// The fields that are always allowed, and those for arguments of tools that this page asks for.
    private func allowedFields(_ head: HTTPRequestHead) -> [UInt8] {
        var allowed = allowedFields
        for line in head.fields.lines(named: CORSRules.requestHeaders) {
            for member in line.value.bytes.split(separator: UInt8(ascii: ",")) {
                let name = member.filter { $0 != 0x20 && $0 != 0x09 }
                    .map(\.lowercasedASCII)
                let isName = name.allSatisfy {
                    (0x30...0x39).contains($0) || (0x61...0x7A).contains($0) || "-_.".utf8.contains($0)
                }
                guard isName, name.starts(with: CORSRules.parameterPrefix) else { continue }
                allowed += Array(", ".utf8) + name
            }
        }
        return allowed
    }

    private static let requestHeaders = Array("access-control-request-headers".utf8)
}
