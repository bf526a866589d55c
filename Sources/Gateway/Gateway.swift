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
    private let bypass: Bypass
    private let sessions: SessionPool
    private let log: Log

    /// - Parameter key: shared by all loops of the process, so that a caller has one hash in the log.
    package init(settings: GatewaySettings, backend: Backend, sessions: SessionPool, key: HashKey, log: Log) {
        self.settings = settings
        admission = AdmissionRules(settings: settings)
        callers = CallerRules(isolateBy: settings.isolateBy, key: key)
        bypass = Bypass(settings: settings, backend: backend, sessions: sessions, callers: callers, log: log)
        self.sessions = sessions
        self.log = log
    }

    /// To be called once, on the loop.
    package func start() { bypass.start() }

    /// Serves one connection until it is closed.
    package func serve(_ connection: HTTPServerConnection) async {
        while true {
            switch await connection.next() {
            case .closed:
                return
            case .flawed(let flaw):
                refuse(.flawed(flaw), id: nil, on: connection, RequestRecord(), closes: true)
            case .request(let request):
                await serve(request, on: connection)
            }
        }
    }

    /// Ends every session. To be called when no request is in flight any more.
    package func close() async { await sessions.closeAll() }

    private func serve(_ request: HTTPServerRequest, on connection: HTTPServerConnection) async {
        let record = RequestRecord()
        if let claim = bypass.claim(request, on: connection),
            await bypass.serve(claim, request, on: connection, record)
        {
            return
        }
        guard let exchange = await admit(request, on: connection, record) else { return }
        connection.onDisconnect = { exchange.cancel() }
        await exchange.run()
        if exchange.wasNeverSent, await bypass.hasTurnedModern(request.head) {
            return await bypass.pass(request, on: connection, record, isModern: true)
        }
        conclude(exchange, of: request.head, on: connection, record)
    }

    /// Begins the exchange of a request; nil when the request is answered already.
    private func admit(
        _ request: HTTPServerRequest, on connection: HTTPServerConnection, _ record: RequestRecord
    ) async -> Exchange? {
        record.requestBytes = request.body.count
        switch admission.admit(request) {
        case .refused(let refusal, let id):
            refuse(refusal, id: id, on: connection, record)
            return nil
        case .legacy:
            await bypass.pass(request, on: connection, record, isModern: false)
            return nil
        case .notification:
            connection.respond(HTTPResponse(status: 202))
            record.status = 202
            record.write(to: log)
            return nil
        case .request(let admitted):
            let caller = callers.caller(of: request.head)
            record.describe(admitted, from: caller)
            return Exchange(admitted, request.head.fields, from: caller, sessions: sessions, settings: settings)
        }
    }

    private func conclude(
        _ exchange: Exchange, of head: HTTPRequestHead, on connection: HTTPServerConnection, _ record: RequestRecord
    ) {
        switch exchange.outcome {
        case .answered(let answer):
            record.status = answer.status
            record.code = answer.code
            if answer.code != nil { record.side = .backend }
            record.responseBytes = answer.text.count
            connection.respond(
                HTTPResponse(status: answer.status, contentType: "application/json"), body: answer.text)
            record.write(to: log)
        case .refused(let refusal):
            refuse(refusal, id: Array(exchange.rawID), on: connection, record)
        case .failed(let error):
            record.detail = error.detail
            if let refusal = bypass.published(Refusal(error), to: head) {
                refuse(refusal, id: Array(exchange.rawID), on: connection, record)
            } else {
                record.status = 499
                record.write(to: log)
            }
        case nil:
            preconditionFailure("an exchange ended without an outcome")
        }
    }

    private func refuse(
        _ refusal: Refusal, id: [UInt8]?, on connection: HTTPServerConnection, _ record: RequestRecord,
        closes: Bool = false
    ) {
        connection.refuse(refusal, id: id, record, closes: closes)
        record.write(to: log)
    }
}
