import HTTPTransport
import HTTPWire
import MCP
import Translation

/// The HTTP head of requests to a legacy server.
///
/// A class: it never changes, and each call of a session takes the same.
final class RequestHead {
    private let method: HTTPMethod
    /// What all of them have in common, written once.
    private let common: [UInt8]
    private let route: SessionRoute

    /// - Parameters:
    ///   - target: nil for the MCP endpoint.
    ///   - revision: the negotiated one; nil before there is one.
    ///   - route: of the session. The cookies that are there when a request is made go with it.
    ///   - messageMethod: of the message, which servers of 2026-07-28 want to see here too.
    init(
        method: HTTPMethod, target: [UInt8]? = nil, sessionID: [UInt8]?, revision: Revision?, route: SessionRoute,
        messageMethod: Method? = nil
    ) {
        self.method = method
        self.route = route
        var head: [UInt8] = []
        guard
            var writer = HTTPHeadWriter(
                method: method, target: target ?? route.target, host: route.backend.host, into: &head)
        else {
            // A head may have every character of the configuration's URLs, and of what a server's endpoint event or redirect resolves to.
            preconditionFailure("the configuration let an impossible URL through")
        }
        // Both types, spelled out: the Python SDK refuses `*/*`.
        writer.field("accept", method == .get ? "text/event-stream" : "application/json, text/event-stream")
        // Without it any coding is fine (RFC 9110 §12.5.3), and nothing here undoes one.
        writer.field("accept-encoding", "identity")
        if let sessionID { _ = writer.field(Header.sessionID, sessionID) }
        if let revision, revision.hasVersionHeader { writer.field(Header.protocolVersion, revision.name) }
        if let messageMethod { writer.field(Header.method, messageMethod.name) }
        if method == .post { writer.field("content-type", "application/json") }
        for field in route.backend.fields { _ = writer.field(named: field.name, field.value) }
        writer.interruptHead(into: &head)
        common = head
    }

    /// The whole request.
    ///
    /// - Parameters:
    ///   - trace: of the client's request that it carries, if it carries one.
    ///   - lastEventID: where the stream that is asked for is to go on.
    func httpMessage(
        _ credentials: Credentials, body: some HTTPBody = [UInt8](), trace: TraceContext? = nil,
        lastEventID: [UInt8]? = nil
    ) -> HTTPMessage {
        HTTPMessage(body, headSize: common.count + 256) {
            writeLines(credentials, trace, bodySize: body.count, lastEventID, to: &$0)
        }
    }

    private func writeLines(
        _ credentials: Credentials, _ trace: TraceContext?, bodySize: Int, _ lastEventID: [UInt8]?,
        to output: inout [UInt8]
    ) {
        var writer = HTTPHeadWriter(continuing: common, into: &output)
        if method == .post { writer.field("content-length", bodySize) }
        // An id that no header can carry would be no place to go on from: the server then answers as it sees fit.
        if let lastEventID { _ = writer.field(Header.lastEventID, lastEventID) }
        if route.cookies.field.isEmpty {
            for line in credentials.lines { writer.field(line.name, line.value) }
        } else {
            writeLines(credentials, route.cookies.field, with: &writer)
        }
        for line in credentials.origin { _ = writer.field(line.name, line.value) }
        if let trace { for entry in trace.fields { _ = writer.field(entry.name, entry.value) } }
        writer.endHead(into: &output)
    }

    /// There is one `Cookie` field only (RFC 6265 §5.4), also where the caller's own cookies tell callers apart.
    private func writeLines(_ credentials: Credentials, _ field: [UInt8], with writer: inout HTTPHeadWriter) {
        var all: [UInt8] = []
        for line in credentials.lines {
            if line.name.equalsIgnoringCase("cookie") {
                all += Array(line.value.bytes) + Array("; ".utf8)
            } else {
                writer.field(line.name, line.value)
            }
        }
        _ = writer.field("cookie", all + field)
    }
}
