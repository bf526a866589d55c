import Crypto
import HTTPWire

/// What lets a request into the listener of a replica: a text that only a holder of the ring can make, for this request,
/// this receiver and these few seconds, and that is taken once. It is looked at before the body is read.
struct PeerToken {
    static let field: StaticString = "remora-peer"
    private static let name = Array("remora-peer".utf8)
    /// How long a pass is good, and how far apart two clocks may be. A request is sent as soon as its pass is made.
    static let lifetime: Duration = .seconds(15)
    /// As the receiver sees it, from the first moment at which a pass is good to the last.
    static let memory: Duration = .seconds(30)

    private let seal: Seal
    private let random: (Int) -> [UInt8]

    init(_ seal: Seal, random: @escaping (Int) -> [UInt8] = SecureRandom.bytes) {
        self.seal = seal
        self.random = random
    }

    /// - Parameters:
    ///   - receiver: the name of the replica that it is for.
    ///   - head: ``digest(method:target:fields:bodySize:)``.
    func issue(for receiver: String, _ head: [UInt8], body: [UInt8], at now: UnixTime) -> [UInt8] {
        let payload = PeerToken.bytes(of: now) + random(NonceMemory.size) + head + SHA256.digest(body)
        return seal.seal(payload, for: .peer, caller: Array(receiver.utf8), until: now + PeerToken.lifetime)
    }

    /// Whether a request with this pass and this head may come in. It may not a second time.
    ///
    /// - Returns: SHA-256 of the body that it must have; nil when it may not.
    func verify(
        _ token: [UInt8], of head: [UInt8], to receiver: String, at now: UnixTime, _ memory: inout NonceMemory
    ) -> [UInt8]? {
        guard let payload = try? seal.open(token, for: .peer, caller: Array(receiver.utf8), at: now),
            payload.count == 8 + NonceMemory.size + 2 * SHA256.size
        else { return nil }
        let issued = UnixTime(seconds: payload.prefix(8).reduce(0) { $0 << 8 | Int64($1) })
        // One from the future would be good for longer than nonces are remembered.
        guard issued.seconds <= (now + PeerToken.lifetime).seconds,
            payload.dropLast(SHA256.size).suffix(SHA256.size).elementsEqual(head),
            memory.use(payload.dropFirst(8).prefix(NonceMemory.size), at: now)
        else { return nil }
        return Array(payload.suffix(SHA256.size))
    }

    private static func bytes(of time: UnixTime) -> [UInt8] {
        stride(from: 56, through: 0, by: -8).map { UInt8(truncatingIfNeeded: time.seconds >> $0) }
    }

    /// Of all that makes the receiver do something, but for the body.
    ///
    /// - Parameter fields: in their order, the pass itself not among them.
    static func digest(
        method: HTTPMethod, target: [UInt8], fields: some Sequence<(name: [UInt8], value: [UInt8])>, bodySize: Int
    ) -> [UInt8] {
        // No part has a line break in it.
        var text = Array("\(method.name) ".utf8) + target + [0x0A]
        for field in fields { text += field.name + [0x3A] + field.value + [0x0A] }
        return SHA256.digest(text + "\n\(bodySize)".utf8)
    }

    /// The same of a request that came; nil where it does not say how long its body is.
    static func digest(of head: HTTPRequestHead) -> [UInt8]? {
        guard case .bytes(let size) = head.bodyLength else { return nil }
        let fields = head.fields.all().lazy.filter {
            !$0.name.equalsIgnoringCase(name) && !$0.name.equalsIgnoringCase("content-length")
        }
        return digest(
            method: head.method, target: Array(head.target),
            fields: fields.map { (lowercased($0.name.bytes), Array($0.value.bytes)) }, bodySize: size)
    }

    static func lowercased(_ name: some Sequence<UInt8>) -> [UInt8] {
        name.map(\.lowercasedASCII)
    }
}
