import HTTPWire
import JSONText
import MCP
import Testing
import Translation

@testable import Gateway
@testable import HTTPTransport

/// A request at the front door, good until something of it is changed.
struct Knock: Sendable {
    var httpMethod = "POST"
    var path = "/mcp"
    var host = "127.0.0.1:8808"
    var origin: String?
    var contentType: String? = "application/json"
    var versionHeader: String? = "2026-07-28"
    var methodHeader: String? = "tools/call"
    var nameHeader: String? = "add"
    var moreFields = ""

    var id = #""c-1""#
    var method = "tools/call"
    /// Members of `params` before `_meta`.
    var params = #""name":"add","arguments":{},"#
    var version: String? = #""2026-07-28""#
    var capabilities: String? = "{}"
    /// Members of the message after `params`.
    var moreMembers = ""
    /// The whole body, when it is none of the above.
    var body: String?

    var text: String {
        if let body { return body }
        let meta = [
            version.map { #""io.modelcontextprotocol/protocolVersion":\#($0)"# },
            capabilities.map { #""io.modelcontextprotocol/clientCapabilities":\#($0)"# },
        ].compactMap(\.self).joined(separator: ",")
        return
            #"{"jsonrpc":"2.0","id":\#(id),"method":"\#(method)","params":{\#(params)"_meta":{\#(meta)}}\#(moreMembers)}"#
    }

    var head: HTTPRequestHead {
        get throws {
            let named: [(String, String?)] = [
                ("Host", host), ("Origin", origin), ("Content-Type", contentType),
                ("MCP-Protocol-Version", versionHeader), ("Mcp-Method", methodHeader), ("Mcp-Name", nameHeader),
            ]
            let lines = named.compactMap { name, value in value.map { "\(name): \($0)\r\n" } }.joined()
            return try parseHead("\(httpMethod) \(path) HTTP/1.1\r\n\(lines)\(moreFields)\r\n")
        }
    }

    func admitted(by settings: GatewaySettings = .test()) throws -> Admission {
        let request = HTTPServerRequest(head: try head, body: Array(text.utf8))
        // The stage before.
        if let refusal = settings.door.originRefusal(of: request.head) { return .refused(refusal, id: nil) }
        return AdmissionRules(settings: settings).admitRequest(request)
    }

    func changed(_ change: (inout Knock) -> Void) -> Knock {
        var knock = self
        change(&knock)
        return knock
    }
}

extension GatewaySettings {
    static func test(
        origins: [String] = [], hosts: [String] = [], isLoopback: Bool = true, forwardsLegacyClients: Bool = false,
        maxDepth: Int = 32, toleratesOlderVersionHeader: Bool = false
    ) -> GatewaySettings {
        GatewaySettings(
            path: "/mcp", door: Door(allowedOrigins: origins, allowedHosts: hosts, isLoopback: isLoopback),
            forwardsLegacyClients: forwardsLegacyClients, callerFields: CallerFields(isolateBy: ["authorization"]),
            caching: CachePolicy(ttlMs: 30000, scope: .private),
            requestTimeout: .seconds(60), streamBuffer: 65536, trustsAnnotations: true, maxDepth: maxDepth,
            toleratesOlderVersionHeader: toleratesOlderVersionHeader)
    }
}

struct NoHead: Error {}

func parseHead(_ text: String) throws -> HTTPRequestHead {
    var decoder = HTTPRequestDecoder(limits: HTTPLimits())
    let bytes = Array(text.utf8)
    var offset = 0
    guard case .head(let head) = try decoder.nextEvent(bytes.span, from: &offset) else { throw NoHead() }
    return head
}

/// What came of a request, in words to compare.
func outcome(_ admission: Admission) -> String {
    switch admission {
    case .request: return "request"
    case .legacy: return "legacy"
    case .notification: return "notification"
    case .refused(let refusal, let id):
        let id = id.map { String(decoding: $0, as: UTF8.self) } ?? "-"
        let data = refusal.data.map { " " + String(decoding: $0, as: UTF8.self) } ?? ""
        return "\(refusal.status) \(refusal.code) \(id)\(data)"
    }
}
