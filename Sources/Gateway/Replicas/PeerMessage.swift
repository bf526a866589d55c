import Crypto
import HTTPTransport
import HTTPWire

/// What one replica asks of another, or one loop of the process of another.
enum PeerTask: Equatable {
    /// To answer a retry, as whoever has its call: this loop of it.
    case serveRetry(loop: Int)
    /// To go on with the call of a retry, since whoever had it is gone. Which of the receiver's loops does, the call's id
    /// decides.
    case takeOver(CallID)
    /// To hear what a server said.
    case notify

    var target: [UInt8] {
        switch self {
        case .serveRetry(let loop): Array("/answer/\(loop)".utf8)
        case .takeOver(let id): Array("/succeed/".utf8) + Base64URL.encode(id.bytes)
        case .notify: Array("/hear".utf8)
        }
    }

    /// Nil for what is no task.
    init?(_ target: ArraySlice<UInt8>) {
        let parts = target.split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false)
        guard parts.first?.isEmpty == true, let name = parts.dropFirst().first else { return nil }
        switch (String(decoding: name, as: UTF8.self), parts.count) {
        case ("answer", 3):
            guard let loop = Int(String(decoding: parts[2], as: UTF8.self)), loop >= 0 else { return nil }
            self = .serveRetry(loop: loop)
        case ("succeed", 3):
            guard let id = Base64URL.decode(parts[2]).flatMap(CallID.init(bytes:)) else { return nil }
            self = .takeOver(id)
        case ("hear", 2):
            self = .notify
        default:
            return nil
        }
        guard self.target.elementsEqual(target) else { return nil }
    }
}

/// A request between replicas.
enum PeerMessage {
    /// A client's retry, whole: its end-to-end fields, so that who answers it knows the client as if it had come there.
    ///
    /// - Parameters:
    ///   - client: whose certificate and address it came with; nil where another replica has brought it, and has told of that.
    ///   - receiver: the replica that it goes to, and who makes a pass for it; nil within the process.
    static func retry(
        _ retry: HTTPServerRequest, as task: PeerTask, from client: HTTPServerConnection?,
        to receiver: (name: String, token: PeerToken)?
    ) -> HTTPMessage {
        message(
            .post, task.target, host: host(of: retry), fields: fields(of: retry, from: client), body: retry.body,
            to: receiver)
    }

    private static func fields(
        of request: HTTPServerRequest, from client: HTTPServerConnection?
    ) -> [(name: [UInt8], value: [UInt8])] {
        let fields = EndToEndFields.of(request.head.fields) { name in
            // What only the front door looks at. A pass is made here or nowhere.
            name.equalsIgnoringCase("host") || name.equalsIgnoringCase("origin") || name.equalsIgnoringCase("expect")
                || name.equalsIgnoringCase(PeerToken.field)
                || client != nil
                    && (name.equalsIgnoringCase(PeerSubject.field) || name.equalsIgnoringCase(PeerAddress.field))
        }
        let origin = (client?.clientSubject.map(PeerSubject.line) ?? []) + (client.map(PeerAddress.line) ?? [])
        return fields.map { (Array($0.name.bytes), Array($0.value.bytes)) } + origin
    }

    /// As the client knows Remora: URLs in a challenge are made with it.
    private static func host(of request: HTTPServerRequest) -> [UInt8]? {
        request.head.authority.map { Array($0.bytes) }
    }

    static func changeNotices(_ body: [UInt8], to receiver: (name: String, token: PeerToken)) -> HTTPMessage {
        message(.post, PeerTask.notify.target, host: nil, fields: [], body: body, to: receiver)
    }

    /// Where a request for a session of another loop goes. No replica lets it in.
    static let sessionTarget = Array("/session".utf8)

    /// A request of an older client, whole, for the loop of this process that has its session.
    static func session(_ request: HTTPServerRequest, from client: HTTPServerConnection) -> HTTPMessage {
        message(
            request.head.method, sessionTarget, host: host(of: request), fields: fields(of: request, from: client),
            body: request.body, to: nil)
    }

    private static func message(
        _ method: HTTPMethod, _ target: [UInt8], host: [UInt8]?, fields: [(name: [UInt8], value: [UInt8])],
        body: [UInt8], to receiver: (name: String, token: PeerToken)?
    ) -> HTTPMessage {
        let host = host.flatMap { isWritable($0) ? $0 : nil } ?? Array("replica".utf8)
        return HTTPMessage(body, headSize: 1024) { output in
            guard var head = HTTPHeadWriter(method: method, target: target, host: host, into: &output) else {
                // The target is of our own digits and letters, and the host was looked at.
                preconditionFailure("a task or a host has a character that it cannot have")
            }
            // What cannot be written is not there for the receiver either.
            let fields = fields.filter { head.field(named: $0.name, $0.value) }
            if let receiver {
                let digest = PeerToken.digest(
                    method: method, target: target,
                    fields: [(Array("host".utf8), host)] + fields.map { (PeerToken.lowercased($0.name), $0.value) },
                    bodySize: body.count)
                _ = head.field(PeerToken.field, receiver.token.issue(for: receiver.name, digest, body: body, at: .now))
            }
            head.field("content-length", body.count)
            head.end(into: &output)
        }
    }

    private static func isWritable(_ host: [UInt8]) -> Bool {
        !host.isEmpty
            && host.allSatisfy {
                (0x30...0x39).contains($0) || (0x61...0x7A).contains($0 | 0x20) || "-._:[]".utf8.contains($0)
            }
    }
}
