import HTTPTransport
import HTTPWire
import JSONText
import Legacy
import MCP

/// Responses between replicas that are not for clients.
enum PeerResponse {
    /// The receiver does not have the call and has done nothing. The sender may ask another replica.
    static var gone: HTTPResponse { HTTPResponse(status: 410, fields: [(PeerToken.field, Array("gone".utf8))]) }

    static func hasLostCall(_ head: HTTPResponseHead) -> Bool {
        head.status == 410 && head.fields.first(PeerToken.field)?.equals("gone") == true
    }

    /// Whether the listener for replicas has made the response. Responses of calls have a body or a challenge.
    static func isBare(_ head: HTTPResponseHead) -> Bool {
        head.status >= 400 && head.bodyLength == .bytes(0) && head.fields.first("www-authenticate") == nil
    }

    /// The error of a retry that the owner of its call has refused.
    static func refusalError(_ status: Int) -> BackendError {
        BackendError(.rejected(status: status), "it answered with HTTP \(status)")
    }

    /// The event that ends a client's stream whose source, another replica, was lost: an error response to the retry.
    static func lastEvent(of retry: HTTPServerRequest, _ error: BackendError) -> [UInt8]? {
        guard let document = try? JSONDocument(retry.body), let id = Envelope.id(of: document),
            let refusal = Refusal(handedOver: error)
        else { return nil }
        return SSEEncoder.event(type: "message", data: [refusal.errorText(id: document.raw(id))[...]]).reduce([]) {
            $0 + $1
        }
    }
}

extension Refusal {
    /// The error of a retry that the owner of its call has refused, or has received without responding. `nil`: the
    /// client has left.
    init?(handedOver error: BackendError) {
        self.init(
            handedOver: error, to: "call",
            refused: "Your answers were not delivered, and the call waits for them: send the same request again later.",
            unanswered: "Your answers may or may not have reached the MCP server, and the call may or may not have run")
    }

    /// The loop or replica that has the session of a handle did not take a request. Nil: the client has left.
    init?(ofHandle error: BackendError) {
        self.init(
            handedOver: error, to: "session", refused: "Nothing was run.",
            unanswered: "The call may or may not have run")
    }

    /// - Parameters:
    ///   - what: the other one has.
    ///   - refused: what is so where it takes nothing from this one.
    ///   - unanswered: what is so where it did not answer.
    private init?(handedOver error: BackendError, to what: String, refused: String, unanswered: String) {
        switch error.kind {
        case .cancelled:
            return nil
        case .rejected:
            self.init(
                status: 503, reason: "replica_refused", dispatched: false,
                message:
                    "The replica that has the \(what) takes nothing from this one: \(error.detail). \(refused) Who operates "
                    + "Remora has to check replicas.keys and the clocks of all replicas.",
                side: .remora)
        default:
            self.init(
                status: 200, reason: "outcome_unknown", dispatched: true,
                message:
                    "The replica that has the \(what) did not answer: \(error.detail). \(unanswered): check before you call "
                    + "again.",
                side: .remora)
        }
    }
}
