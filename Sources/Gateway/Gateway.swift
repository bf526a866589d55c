package import Crypto
package import HTTPTransport
import HTTPWire
import JSONText
package import Legacy
import MCP
import Reactor
package import Telemetry
import Translation

/// Remora on one loop: takes requests from connections, admits them, has them carried, and answers.
package final class Gateway {
    private let settings: GatewaySettings
    private let admission: AdmissionRules
    private let callers: CallerRules
    private let sessions: SessionPool
    private let log: Log
    private let tally = RequestTally()

    /// - Parameter key: shared by all loops of the process, so that a caller has one hash in the log.
    package init(settings: GatewaySettings, sessions: SessionPool, key: HashKey, log: Log) {
        self.settings = settings
        admission = AdmissionRules(settings: settings)
        callers = CallerRules(isolateBy: settings.isolateBy, key: key)
        self.sessions = sessions
        self.log = log
    }

    /// Serves one connection until it is closed.
    package func serve(_ connection: HTTPServerConnection) async {
        let responder = Responder(on: connection, maxUnsent: settings.streamBuffer)
        while true {
            switch await connection.next() {
            case .closed:
                return
            case .flawed(let flaw):
                refuse(.flawed(flaw), id: nil, by: responder, RequestRecord(in: tally), closes: true)
            case .request(let request):
                await serve(request, by: responder)
            }
        }
    }

    /// What was counted so far.
    package var counts: RequestCounts { tally.counts }

    /// Ends every session. To be called when no request is in flight any more.
    package func close() async { await sessions.closeAll() }

    private func serve(_ request: HTTPServerRequest, by responder: Responder) async {
        let record = RequestRecord(in: tally)
        guard let exchange = admit(request, by: responder, record) else { return }
        responder.begin(onDisconnect: { exchange.cancel() })
        await exchange.run()
        conclude(exchange, by: responder, record)
    }

    /// Begins the exchange of a request; nil when the request is answered already.
    private func admit(
        _ request: HTTPServerRequest, by responder: Responder, _ record: RequestRecord
    ) -> Exchange? {
        record.requestBytes = request.body.count
        switch admission.admit(request) {
        case .refused(let refusal, let id):
            refuse(refusal, id: id, by: responder, record)
            return nil
        case .notification:
            responder.finish(HTTPResponse(status: 202), body: [UInt8]())
            record.status = 202
            record.write(to: log)
            return nil
        case .request(let admitted):
            let caller = callers.caller(of: request.head)
            record.describe(admitted, from: caller)
            return Exchange(
                admitted, request.head.fields, from: caller, to: responder, sessions: sessions, settings: settings)
        }
    }

    private func conclude(_ exchange: Exchange, by responder: Responder, _ record: RequestRecord) {
        record.notifications = exchange.forwarded
        switch exchange.outcome {
        case .answered(let answer):
            record.code = answer.code
            if answer.code != nil { record.side = .backend }
            record.status = answer.status
            responder.finish(
                HTTPResponse(status: answer.status, contentType: "application/json"), body: answer.text)
            record.responseBytes = responder.bytes
            record.write(to: log)
        case .refused(let refusal):
            refuse(refusal, id: Array(exchange.rawID), by: responder, record)
        case .failed(let error):
            record.failed(error)
            if let refusal = Refusal(error) {
                refuse(refusal, id: Array(exchange.rawID), by: responder, record)
            } else {
                record.status = 499
                record.write(to: log)
            }
        case nil:
            preconditionFailure("an exchange ended without an outcome")
        }
    }

    private func refuse(
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
    }
}
