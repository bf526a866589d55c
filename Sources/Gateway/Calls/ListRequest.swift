import HTTPTransport
import Legacy
import Reactor
import Translation

/// A request for a list of the server. Others may wait for the same list, which is read once.
final class ListRequest: ResponseProducer {
    private let carrier: Carrier
    /// As it came.
    private let source: HTTPServerRequest
    private let clientRequest: ClientRequest
    private let waiter: ListWaiter

    init(of source: HTTPServerRequest, answering clientRequest: ClientRequest, by carrier: Carrier) {
        self.carrier = carrier
        self.source = source
        self.clientRequest = clientRequest
        waiter = ListWaiter(until: .now + carrier.settings.requestTimeout, on: carrier.sessions.loop)
    }

    /// - Parameters:
    ///   - request: made of the request as it came.
    ///   - handleKey: of the session of a handle; nil where any session of the caller will do.
    ///   - others: of sessions of handles that may have items which others have not.
    func beginReading(
        _ request: ModernRequest, from caller: Caller, handleKey: SessionKey? = nil, with others: [SessionKey] = []
    ) {
        clientRequest.responder.beginResponse(for: self)
        carrier.sessions.loop.spawn { [self] in
            let key = handleKey ?? carrier.sessionKey(for: request, from: caller)
            let outcome = await carrier.lists.respondWithList(request, of: caller, key: key, waiter, with: others)
            carrier.endCarriedRequest(clientRequest, outcome, of: source)
        }
    }

    func clientLeft() { waiter.cancelWait() }
}
