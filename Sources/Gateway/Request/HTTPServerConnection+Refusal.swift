import HTTPTransport

extension HTTPServerConnection {
    /// Answers with an error of Remora's own.
    func refuse(_ refusal: Refusal, id: [UInt8]?, _ record: RequestRecord, closes: Bool = false) {
        let text = refusal.text(id: id.map { $0[...] })
        record.status = refusal.status
        record.code = refusal.code
        record.side = refusal.side
        record.responseBytes = text.count
        respond(
            HTTPResponse(
                status: refusal.status, contentType: "application/json", fields: refusal.fields, closes: closes),
            body: text)
    }
}
