import HTTPTransport
import HTTPWire
import JSONText
import Legacy
import MCP

/// The question that tells the eras apart: `server/discover` as a modern request (2026-07-28, basic/versioning, "Backward
/// Compatibility with Initialization-Based Versions").
enum EraProbe {
    /// Asks. Credentials are those of the request that wants to know.
    static func ask(_ backend: Backend, credentials: Credentials) async -> EraTable.Evidence {
        let head: HTTPResponseHead
        let body: [UInt8]
        do throws(BackendError) {
            (head, body) = try await BackendDocument.fetch(request(backend, credentials), from: backend)
        } catch {
            return error.kind == .silent ? .silence : .none
        }
        if let session = head.fields.first(Header.sessionID) {
            // A legacy server made a session for a question that wanted none.
            _ = try? await BackendDocument.fetch(deletion(of: session, backend, credentials), from: backend)
        }
        return evidence(head, body, maxMessage: backend.limits.maxMessage)
    }

    /// What an answer says.
    ///
    /// A status that a server, or whatever stands before it, gives for reasons of its own is no evidence.
    static func evidence(_ head: HTTPResponseHead, _ body: [UInt8], maxMessage: Int) -> EraTable.Evidence {
        switch head.status {
        case 200..<300, 400, 402, 404..<408, 409..<429, 430..<500:
            return messages(head, body, maxMessage: maxMessage).contains(where: isModern) ? .modern : .legacy
        default:
            return .none
        }
    }

    private static func messages(_ head: HTTPResponseHead, _ body: [UInt8], maxMessage: Int) -> [[UInt8]] {
        guard head.fields.first("content-type")?.isMediaType("text/event-stream") == true else { return [body] }
        var decoder = SSEDecoder(maxEvent: maxMessage)
        var offset = 0
        var messages: [[UInt8]] = []
        while let event = try? decoder.next(body.span, from: &offset) { messages.append(event.data) }
        return messages
    }

    /// A `DiscoverResult` with this revision, or an `UnsupportedProtocolVersionError` that names it.
    private static func isModern(_ text: [UInt8]) -> Bool {
        guard let document = try? JSONDocument(text, maxDepth: maxDepth), let message = try? Envelope(document),
            case .response(_, let outcome) = message.kind
        else { return false }
        let versions: JSONValue?
        switch outcome {
        case .result(let result):
            guard document.value("capabilities", of: result, .object) != nil else { return false }
            versions = document.value("supportedVersions", of: result, .array)
        case .error(let error):
            let code = document.value("code", of: error).flatMap { document.integer($0) }
            guard code == Int64(ErrorCode.unsupportedProtocolVersion) else { return false }
            versions = document.value("data", of: error, .object).flatMap {
                document.value("supported", of: $0, .array)
            }
        }
        guard let versions else { return false }
        return document.elements(of: versions).contains { document.string($0, equals: Revision.modern.name) }
    }

    /// Capabilities of a server hold open maps; nothing sensible is deeper.
    private static let maxDepth = 128

    // MARK: Requests

    private static func request(_ backend: Backend, _ credentials: Credentials) -> HTTPMessage {
        HTTPMessage(body, headSize: 512) { output in
            var writer = head(.post, backend, credentials, &output)
            writer.field("content-type", "application/json")
            writer.field("accept", "application/json, text/event-stream")
            writer.field(Header.protocolVersion, Revision.modern.name)
            writer.field(Header.method, Method.discover.name)
            writer.field("content-length", body.count)
            writer.end(into: &output)
        }
    }

    private static func deletion(
        of session: HTTPFieldValue, _ backend: Backend, _ credentials: Credentials
    ) -> HTTPMessage {
        HTTPMessage([UInt8](), headSize: 512) { output in
            var writer = head(.delete, backend, credentials, &output)
            writer.field(Header.sessionID, session)
            writer.end(into: &output)
        }
    }

    private static func head(
        _ method: HTTPMethod, _ backend: Backend, _ credentials: Credentials, _ output: inout [UInt8]
    ) -> HTTPHeadWriter {
        guard
            var writer = HTTPHeadWriter(method: method, target: backend.target, host: backend.host, into: &output)
        else {
            // The characters that the configuration lets into a URL are among those that a head may have.
            preconditionFailure("the configuration let an impossible URL through")
        }
        for field in backend.fields { _ = writer.field(named: field.name, field.value) }
        for line in credentials.lines { writer.field(line.name, line.value) }
        for line in credentials.origin { _ = writer.field(line.name, line.value) }
        return writer
    }

    private static let body: [UInt8] = {
        var text = Array(#"{"jsonrpc":"2.0","id":"remora-era","method":"server/discover","params":{"_meta":{"#.utf8)
        text += Array(#""io.modelcontextprotocol/protocolVersion":"\#(Revision.modern.rawValue)","#.utf8)
        text += Array(#""io.modelcontextprotocol/clientInfo":{"name":"remora","version":"#.utf8)
        text.appendJSON(Version.current)
        text += Array(#"},"io.modelcontextprotocol/clientCapabilities":{}}}}"#.utf8)
        return text
    }()
}
