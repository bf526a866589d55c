import HTTPTransport
import HTTPWire
import JSONText
import Legacy
import MCP
import Telemetry

/// What goes to the backend and back without being translated.
final class Bypass {
    private let settings: GatewaySettings
    private let backend: Backend
    private let callers: CallerRules
    private let log: Log

    init(settings: GatewaySettings, backend: Backend, callers: CallerRules, log: Log) {
        self.settings = settings
        self.backend = backend
        self.callers = callers
        self.log = log
    }

    /// Passes on a request to the MCP endpoint, and writes its line of the log.
    func pass(_ request: HTTPServerRequest, on connection: HTTPServerConnection, _ record: RequestRecord) async {
        record.describe("pass", request.head.method.name, from: callers.caller(of: request.head))
        await pass(request, to: BackendTarget.endpoint(backend.target, query: request.head.query), connection, record)
    }

    private func pass(
        _ request: HTTPServerRequest, to target: [UInt8], _ connection: HTTPServerConnection, _ record: RequestRecord
    ) async {
        let passage = PassThrough(
            request, to: backend, answering: connection,
            limits: PassThrough.Limits(total: settings.requestTimeout, silence: backend.limits.silence))
        let outcome = await passage.run(target: target)
        record.status = passage.status ?? 499
        record.responseBytes = passage.responseBytes
        switch outcome {
        case .answered, .abandoned:
            break
        case .cut(let error):
            record.detail = error.detail
            record.side = .backend
        case .failed(let error):
            record.detail = error.detail
            let id = requestID(request)
            if let refusal = Refusal(error, hasID: id != nil) { connection.refuse(refusal, id: id, record) }
        }
        record.write(to: log)
    }

    /// The id of a JSON-RPC request; nil for anything else.
    private func requestID(_ request: HTTPServerRequest) -> [UInt8]? {
        guard let document = try? JSONDocument(request.body, maxDepth: settings.maxDepth),
            let message = try? Envelope(document), case .request(let id, _) = message.kind
        else { return nil }
        return Array(document.raw(id))
    }
}
