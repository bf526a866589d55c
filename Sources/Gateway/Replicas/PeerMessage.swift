import Crypto
import HTTPTransport
import HTTPWire

/// Requests between replicas, and between loops of a process.
enum PeerMessage {
    /// A client's retry with its end-to-end fields: the receiver identifies the client by them, as if the client had
    /// connected there.
    ///
    /// - Parameters:
    ///   - client: connection that the retry came on, for the certificate and the address. `nil`: another replica has
    ///     forwarded the retry, with fields for both.
    ///   - receiver: the replica that it goes to, and what issues its token. `nil`: it stays in the process.
    static func retryMessage(
        _ retry: HTTPServerRequest, as task: PeerTask, from client: HTTPServerConnection?,
        to receiver: (name: String, token: PeerToken)?
    ) -> HTTPMessage {
        peerMessage(
            .post, task.target, host: clientHost(of: retry), fields: endToEndFields(of: retry, from: client),
            body: retry.body,
            to: receiver)
    }

    private static func endToEndFields(
        of request: HTTPServerRequest, from client: HTTPServerConnection?
    ) -> [(name: [UInt8], value: [UInt8])] {
        let fields = EndToEndFields.forwardedFields(request.head.fields) { name in
            // The first three were checked when the client's request came. A token is issued here or nowhere.
            name.equalsIgnoringCase("host") || name.equalsIgnoringCase("origin") || name.equalsIgnoringCase("expect")
                || name.equalsIgnoringCase(PeerToken.field)
                || client != nil
                    && (name.equalsIgnoringCase(PeerSubject.field) || name.equalsIgnoringCase(PeerAddress.field))
        }
        let origin =
            (client?.clientSubject.map(PeerSubject.fieldLine) ?? []) + (client.map(PeerAddress.fieldLine) ?? [])
        return fields.map { (Array($0.name.bytes), Array($0.value.bytes)) } + origin
    }

    /// The host by which the client knows Remora. URLs in a challenge contain it.
    private static func clientHost(of request: HTTPServerRequest) -> [UInt8]? {
        request.head.authority.map { Array($0.bytes) }
    }

    static func changeNotices(_ body: [UInt8], to receiver: (name: String, token: PeerToken)) -> HTTPMessage {
        peerMessage(.post, PeerTask.notify.target, host: nil, fields: [], body: body, to: receiver)
    }

    /// Target of a request for a session of another loop. The listener for replicas refuses it.
    static let sessionTarget = Array("/session".utf8)

    /// A request of an older client, for the loop of this process that has its session.
    static func sessionMessage(_ request: HTTPServerRequest, from client: HTTPServerConnection) -> HTTPMessage {
        peerMessage(
            request.head.method, sessionTarget, host: clientHost(of: request),
            fields: endToEndFields(of: request, from: client),
            body: request.body, to: nil)
    }

    private static func peerMessage(
        _ method: HTTPMethod, _ target: [UInt8], host: [UInt8]?, fields: [(name: [UInt8], value: [UInt8])],
        body: [UInt8], to receiver: (name: String, token: PeerToken)?
    ) -> HTTPMessage {
        let host = host.flatMap { isWritable($0) ? $0 : nil } ?? Array("replica".utf8)
        return HTTPMessage(body, headSize: 1024) { output in
            guard var head = HTTPHeadWriter(method: method, target: target, host: host, into: &output) else {
                // The target consists of digits, letters and `-_/`, and the host was checked.
                preconditionFailure("a task or a host has a character that it cannot have")
            }
            // The token covers the fields that were written, and no others.
            let fields = fields.filter { head.field(named: $0.name, $0.value) }
            if let receiver {
                let digest = PeerToken.requestDigest(
                    method: method, target: target,
                    fields: [(Array("host".utf8), host)] + fields.map { (PeerToken.lowercasedName($0.name), $0.value) },
                    bodySize: body.count)
                _ = head.field(
                    PeerToken.field, receiver.token.issueToken(for: receiver.name, digest, body: body, at: .now))
            }
            head.field("content-length", body.count)
            head.endHead(into: &output)
        }
    }

    private static func isWritable(_ host: [UInt8]) -> Bool {
        !host.isEmpty
            && host.allSatisfy {
                (0x30...0x39).contains($0) || (0x61...0x7A).contains($0 | 0x20) || "-._:[]".utf8.contains($0)
            }
    }
}
