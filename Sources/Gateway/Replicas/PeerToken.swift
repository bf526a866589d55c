import Crypto
import HTTPWire

/// The credential of a request to another replica: a sealed text that only a holder of the key ring can make. It is
/// valid for one request, one receiver and some seconds, and is accepted once. The receiver verifies it before it reads
/// the body.
struct PeerToken {
    static let field: StaticString = "remora-peer"
    private static let name = Array("remora-peer".utf8)
    /// How long a token is valid, and how far apart the clocks of two replicas may be. A request is sent as soon as its
    /// token is issued.
    static let lifetime: Duration = .seconds(15)
    /// How long the receiver remembers a token's nonce: from the first moment at which it accepts the token to the
    /// last.
    static let memory: Duration = .seconds(30)

    private let seal: Seal
    private let random: (Int) -> [UInt8]

    init(_ seal: Seal, random: @escaping (Int) -> [UInt8] = SecureRandom.bytes) {
        self.seal = seal
        self.random = random
    }

    /// - Parameters:
    ///   - receiver: the name of the replica that the token is for.
    ///   - head: ``requestDigest(method:target:fields:bodySize:)``.
    func issueToken(for receiver: String, _ head: [UInt8], body: [UInt8], at now: UnixTime) -> [UInt8] {
        let payload = PeerToken.timeBytes(of: now) + random(NonceMemory.size) + head + SHA256.digest(body)
        return seal.sealPayload(payload, for: .peer, caller: Array(receiver.utf8), until: now + PeerToken.lifetime)
    }

    /// Accepts a request with this token and this head, once.
    ///
    /// - Returns: SHA-256 of the body that the request must have; `nil` if the request is refused.
    func verifyToken(
        _ token: [UInt8], of head: [UInt8], to receiver: String, at now: UnixTime, _ memory: inout NonceMemory
    ) -> [UInt8]? {
        guard let payload = try? seal.openText(token, for: .peer, caller: Array(receiver.utf8), at: now),
            payload.count == 8 + NonceMemory.size + 2 * SHA256.size
        else { return nil }
        let issued = UnixTime(seconds: payload.prefix(8).reduce(0) { $0 << 8 | Int64($1) })
        // A token from the future would be valid for longer than its nonce is remembered.
        guard issued.seconds <= (now + PeerToken.lifetime).seconds,
            payload.dropLast(SHA256.size).suffix(SHA256.size).elementsEqual(head),
            memory.useNonce(payload.dropFirst(8).prefix(NonceMemory.size), at: now)
        else { return nil }
        return Array(payload.suffix(SHA256.size))
    }

    private static func timeBytes(of time: UnixTime) -> [UInt8] {
        stride(from: 56, through: 0, by: -8).map { UInt8(truncatingIfNeeded: time.seconds >> $0) }
    }

    /// A digest of everything in a request that has an effect at the receiver, except the body.
    ///
    /// - Parameter fields: in their order, without the token.
    static func requestDigest(
        method: HTTPMethod, target: [UInt8], fields: some Sequence<(name: [UInt8], value: [UInt8])>, bodySize: Int
    ) -> [UInt8] {
        // No part contains a line break.
        var text = Array("\(method.name) ".utf8) + target + [0x0A]
        for field in fields { text += field.name + [0x3A] + field.value + [0x0A] }
        return SHA256.digest(text + "\n\(bodySize)".utf8)
    }

    /// The digest of a request that was received; `nil` if its head does not give the size of the body.
    static func requestDigest(of head: HTTPRequestHead) -> [UInt8]? {
        guard case .bytes(let size) = head.bodyLength else { return nil }
        let fields = head.fields.all().lazy.filter {
            !$0.name.equalsIgnoringCase(name) && !$0.name.equalsIgnoringCase("content-length")
        }
        return requestDigest(
            method: head.method, target: Array(head.target),
            fields: fields.map { (lowercasedName($0.name.bytes), Array($0.value.bytes)) }, bodySize: size)
    }

    static func lowercasedName(_ name: some Sequence<UInt8>) -> [UInt8] {
        name.map(\.lowercasedASCII)
    }
}
