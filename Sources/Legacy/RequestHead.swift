import HTTPWire
import MCP

/// The HTTP head of a request to a legacy server.
struct RequestHead {
    let method: HTTPMethod
    let backend: Backend
    let sessionID: [UInt8]?
    /// The negotiated revision; nil before there is one.
    let revision: Revision?

    /// The whole request, in parts.
    func request(
        _ credentials: Credentials, body: [ArraySlice<UInt8>]
    ) -> [ArraySlice<UInt8>] {
        var head = [UInt8]()
        head.reserveCapacity(512)
        guard var writer = HTTPHeadWriter(method: method, target: backend.target, host: backend.host, into: &head)
        else {
            preconditionFailure("the configuration let an impossible URL through")
        }
        // Both types, spelled out: the Python SDK refuses `*/*`.
        writer.field(
            "accept",
            method == .get ? "text/event-stream" : "application/json, text/event-stream")
        if let sessionID { _ = writer.field(Header.sessionID, sessionID) }
        if let revision, revision.hasVersionHeader {
            _ = writer.field(Header.protocolVersion, Array(revision.rawValue.utf8))
        }
        if method == .post {
            writer.field("content-type", "application/json")
            writer.field("content-length", body.reduce(0) { $0 + $1.count })
        }
        for line in credentials.lines { writer.field(line.name, line.value) }
        writer.end(into: &head)
        return [head[...]] + body
    }
}
