import HTTPTransport
import HTTPWire
import Legacy
import MCP
import Telemetry

/// From what came of a request to its answer, its line of the log and its place in the counts.
extension Gateway {
    func conclude(
        _ outcome: Exchange.Outcome, id: @autoclosure () -> [UInt8], of head: HTTPRequestHead,
        by responder: Responder, _ record: RequestRecord
    ) {
        switch outcome {
        case .answered(let answer):
            record.code = answer.code
            if answer.code != nil { record.side = .backend }
            conclude(answer.status, text: answer.text, by: responder, record)
        case .refused(let refusal):
            refuse(refusal, id: id(), by: responder, record)
        case .failed(let error):
            fail(error, id: id(), of: head, by: responder, record)
        }
    }

    func conclude(
        _ status: Int, text: some HTTPBody, by responder: Responder, _ record: RequestRecord
    ) {
        record.status = status
        responder.finish(HTTPResponse(status: status, contentType: "application/json"), body: text)
        record.responseBytes = responder.bytes
        record.write(to: log)
    }

    func fail(
        _ error: BackendError, id: [UInt8], of head: HTTPRequestHead, by responder: Responder, _ record: RequestRecord
    ) {
        record.failed(error)
        if let refusal = bypass.published(
            Refusal(error, dropped: callers.dropped(from: head)), to: head)
        {
            return refuse(refusal, id: id, by: responder, record)
        }
        close(record)
    }

    /// Nobody is left to answer.
    func close(_ record: RequestRecord) {
        record.status = 499
        record.write(to: log)
    }

    func refuse(
        _ refusal: Refusal, id: [UInt8]?, by responder: Responder, _ record: RequestRecord, closes: Bool = false
    ) {
        record.status = refusal.status
        record.code = refusal.code
        record.side = refusal.side
        responder.finish(
            HTTPResponse(
                status: refusal.status, contentType: "application/json", fields: refusal.fields, closes: closes),
            body: refusal.text(id: id.map { $0[...] }))
        record.responseBytes = responder.bytes
        record.write(to: log)
        if let capability = refusal.undeclared { note(undeclared: capability) }
    }

    /// Says once that clients ask for what the server does not declare: some have it all the same.
    private func note(undeclared capability: ServerCapability) {
        guard undeclared.insert(capability).inserted else { return }
        log.write(.info, "capability_undeclared") { line in
            line.field("capability", capability.rawValue)
            line.field(
                "advice", "if the server has \(capability.rawValue), add it to backends[].declare")
        }
    }
}
