import HTTPTransport
import HTTPWire

/// The CORS fields by which a browser lets a page of an allowed origin call (the Fetch standard, "CORS protocol").
///
/// The origin is named, never `*`. Cookies are not allowed: a page sends its token in `Authorization`.
struct CORSRules {
    /// Fields that a page may send (2026-07-28, basic/transports/streamable-http; 2025-11-25, basic/transports).
    private static let definedFields =
        "content-type, authorization, mcp-protocol-version, mcp-method, mcp-name, mcp-session-id, last-event-id"
    /// Two hours, the maximum of Chromium.
    private static let maxAge = Array("7200".utf8)
    private static let parameterPrefix = Array("mcp-param-".utf8)

    private let methods: [UInt8]
    private let exposed: [UInt8]
    private let allowedFields: [UInt8]

    /// - Parameters:
    ///   - forwardsLegacyClients: whether pages may use GET, DELETE and session ids.
    ///   - passed: names of fields that are forwarded to the server, in lower case.
    init(forwardsLegacyClients: Bool, passed: [String] = []) {
        let further = passed.filter { $0 != "authorization" }
        allowedFields = Array(([CORSRules.definedFields] + further).joined(separator: ", ").utf8)
        methods = Array((forwardsLegacyClients ? "POST, GET, DELETE" : "POST").utf8)
        exposed = Array((forwardsLegacyClients ? "WWW-Authenticate, Mcp-Session-Id" : "WWW-Authenticate").utf8)
    }

    /// The fields of every response to a page of this origin, which must be an allowed one.
    func answerFields(to origin: HTTPFieldValue) -> [(name: StaticString, value: [UInt8])] {
        [
            ("access-control-allow-origin", Array(origin.bytes)), ("access-control-expose-headers", exposed),
            ("vary", Array("Origin".utf8)),
        ]
    }

    /// Whether a request is a preflight of a browser.
    static func isPreflight(_ head: HTTPRequestHead) -> Bool {
        head.method == .options && head.fields.first("access-control-request-method") != nil
    }

    /// The response to a preflight.
    ///
    /// - Parameter isEndpoint: whether it is for the MCP endpoint. The documents beside the endpoint allow GET and
    ///   POST.
    func preflightResponse(_ head: HTTPRequestHead, isEndpoint: Bool) -> HTTPResponse {
        HTTPResponse(
            status: 204,
            fields: [
                ("access-control-allow-methods", isEndpoint ? methods : Array("GET, POST".utf8)),
                ("access-control-allow-headers", allowedFields(head)), ("access-control-max-age", CORSRules.maxAge),
                ("vary", Array("Access-Control-Request-Headers".utf8)),
            ])
    }

    /// The fields that are always allowed, and the requested ones for arguments of tools.
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
