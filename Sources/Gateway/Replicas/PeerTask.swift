import Crypto

/// What a replica asks of another replica, or a loop of another loop. On the wire it is the target of the request.
enum PeerTask: Equatable {
    /// Serve a retry: its call is on this loop of the receiver.
    case serveRetry(loop: Int)
    /// Take over the call of a retry, since its owner is gone. The call's id decides which loop of the receiver does.
    case takeOver(CallID)
    /// Apply the change notices in the body.
    case notify

    var target: [UInt8] {
        switch self {
        case .serveRetry(let loop): Array("/answer/\(loop)".utf8)
        case .takeOver(let id): Array("/succeed/".utf8) + Base64URL.encodeBytes(id.bytes)
        case .notify: Array("/hear".utf8)
        }
    }

    /// `nil`: the target names no task.
    init?(_ target: ArraySlice<UInt8>) {
        let parts = target.split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false)
        guard parts.first?.isEmpty == true, let name = parts.dropFirst().first else { return nil }
        switch (String(decoding: name, as: UTF8.self), parts.count) {
        case ("answer", 3):
            guard let loop = Int(String(decoding: parts[2], as: UTF8.self)), loop >= 0 else { return nil }
            self = .serveRetry(loop: loop)
        case ("succeed", 3):
            guard let id = Base64URL.decodeText(parts[2]).flatMap(CallID.init(bytes:)) else { return nil }
            self = .takeOver(id)
        case ("hear", 2):
            self = .notify
        default:
            return nil
        }
        guard self.target.elementsEqual(target) else { return nil }
    }
}
