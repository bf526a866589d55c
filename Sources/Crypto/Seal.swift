internal import Synchronization

/// Seals what a client carries for Remora, and opens it again: a text that its holder can neither read nor change, that
/// is good for one purpose and one caller only, and not for ever.
///
/// The layout is `v1.` and, in base64url, the key's id (4 bytes), a nonce (12), and in AES-256-GCM the end of its life
/// (4), a tag of the caller (8) and the payload, with the mode's own tag (16): 62 characters for an empty payload
/// ([decision 0012](../../docs/decisions/0012-what-clients-carry.md)).
///
/// It has no clock, and no state but its ring, which can be replaced while it is used on all loops: any replica with the
/// ring opens what another one sealed.
package final class Seal: Sendable {
    /// What a sealed text is for. One for another purpose does not open.
    package enum Purpose: String, Sendable, CaseIterable {
        /// `nextCursor` of a list (2026-07-28, server/utilities/pagination).
        case cursor
        /// `requestState` of a question (2026-07-28, basic/patterns/mrtr).
        case requestState = "request state"
        /// The handle of a session that a client holds on to.
        case handle
        /// `taskId`.
        case task
        /// What one replica shows another to be let in.
        case peer
        /// Where a replica is reached, as the others read it in the store.
        case member
        /// A session that replicas share, as they read it in the store.
        case session
        /// Who goes on with a call, as the replicas have it in the store.
        case claim
        /// How a task ended, as the replicas have it in the store.
        case outcome
    }

    /// The text was not sealed here for this purpose and this caller, or is too old. Which of these it is, is not told: an answer
    /// that depends on it helps to guess.
    package struct Invalid: Error, Equatable {
        package init() {}
    }

    private static let version = Array("v1.".utf8)
    private static let expirySize = 4
    private static let callerTagSize = 8
    /// A longer text is not looked at. What is sealed goes into messages and headers, and is shorter by far.
    private static let maxText = 65_536
    /// The longest payload, for which there is room in ``maxText``.
    package static let maxPayload = 48_000

    private let ring: Mutex<KeyRing>
    private let deployment: Mutex<[UInt8]>
    private let random: @Sendable (Int) -> [UInt8]

    /// - Parameters:
    ///   - deployment: what Remoras that share keys must have in common for one to open what another sealed.
    ///   - random: gives that many bytes that were never given before. 2^32 texts may be sealed for a purpose before two
    ///     nonces are equal with a probability of 2^-33: change the keys before.
    package init(
        ring: KeyRing, deployment: String, random: @escaping @Sendable (Int) -> [UInt8] = SecureRandom.bytes
    ) {
        self.ring = Mutex(ring)
        self.deployment = Mutex(Array(deployment.utf8))
        self.random = random
    }

    /// Goes on with another ring. What was sealed by a key that is not in it opens no more.
    package func useRing(_ ring: KeyRing) { self.ring.withLock { $0 = ring } }

    /// Goes on for another deployment: what was sealed for the one before opens no more.
    package func useDeployment(deployment: String) { self.deployment.withLock { $0 = Array(deployment.utf8) } }

    /// - Parameters:
    ///   - payload: at most ``maxPayload`` bytes.
    ///   - caller: who may use it, in the bytes that tell this caller from all others at every replica.
    ///   - expiry: when it stops being good, before the year 2106.
    /// - Returns: ASCII that needs no escaping in JSON, in a header or in a URL.
    package func sealPayload(
        _ payload: [UInt8], for purpose: Purpose, caller: [UInt8], until expiry: UnixTime
    ) -> [UInt8] {
        // The callers have smaller bounds for what comes from a peer: 36,000 bytes of a call's state, 16 KiB of a cursor.
        precondition(payload.count <= Seal.maxPayload, "a payload that could not be opened again")
        let key = ring.withLock { $0.sealing }
        let nonce = random(AESGCM.nonceSize)
        let text = Seal.expiryBytes(of: expiry) + Seal.callerTag(of: caller, key) + payload
        let sealed = AESGCM.encryptText(
            text, key: Seal.sealingKey(key, purpose), nonce: nonce, context: sealContext(key, purpose))
        return Seal.version + Base64URL.encodeBytes(key.id + nonce + sealed)
    }

    /// The payload of a text that ``seal(_:for:caller:until:)`` made with the same purpose and caller.
    package func openText(
        _ text: [UInt8], for purpose: Purpose, caller: [UInt8], at now: UnixTime
    ) throws(Invalid) -> [UInt8] {
        guard text.count <= Seal.maxText, text.starts(with: Seal.version),
            let bytes = Base64URL.decodeText(text.dropFirst(Seal.version.count)),
            bytes.count >= KeyRing.idSize + AESGCM.nonceSize,
            let key = ring.withLock({ $0.key(withID: bytes.prefix(KeyRing.idSize)) })
        else { throw Invalid() }
        let rest = bytes.dropFirst(KeyRing.idSize)
        let opened = AESGCM.decryptText(
            rest.dropFirst(AESGCM.nonceSize), key: Seal.sealingKey(key, purpose),
            nonce: Array(rest.prefix(AESGCM.nonceSize)), context: sealContext(key, purpose))
        guard let opened, opened.count >= Seal.expirySize + Seal.callerTagSize else { throw Invalid() }
        let expiry = opened.prefix(Seal.expirySize).reduce(0) { $0 << 8 | Int64($1) }
        let tag = opened.dropFirst(Seal.expirySize).prefix(Seal.callerTagSize)
        // Both are looked at, whatever comes of the first.
        let isInTime = now.seconds < expiry
        let isTheirs = tag.elementsEqual(Seal.callerTag(of: caller, key))
        guard isInTime, isTheirs else { throw Invalid() }
        return Array(opened.dropFirst(Seal.expirySize + Seal.callerTagSize))
    }

    /// Stands for a caller among holders of the ring, and says nothing of him to others: the key's id, and
    /// ``callerNameSize`` bytes.
    package func callerName(of caller: [UInt8]) -> [UInt8] {
        Seal.callerNames(of: [caller], by: ring.withLock { $0.sealing })[0]
    }

    /// The names of several callers, as a holder of the ring gives them who sealed with the same key as the one that gave
    /// `name`; nil when the key is not in the ring.
    package func callerNames(of callers: [[UInt8]], like name: [UInt8]) -> [[UInt8]]? {
        guard let key = ring.withLock({ $0.key(withID: name.prefix(KeyRing.idSize)) }) else { return nil }
        return Seal.callerNames(of: callers, by: key)
    }

    /// The name of an entry in a store: ASCII that says nothing of what it names to those without the ring.
    package func storeName(of what: [UInt8]) -> [UInt8] {
        let key = ring.withLock { $0.sealing }
        let text = deployment.withLock { $0 } + [0] + what
        return Base64URL.encodeBytes(
            Array(SHA256.authenticationCode(text, key: key.derivedKey(for: "store name")).prefix(Seal.storeNameSize)))
    }

    /// Bytes of a name in a store, before base64url: no two are the same by chance.
    private static let storeNameSize = 16

    /// Enough that no two callers have the same by chance.
    private static let callerNameSize = 16
    /// Bytes of a name.
    package static let nameSize = KeyRing.idSize + callerNameSize

    private static func callerNames(of callers: [[UInt8]], by key: KeyRing.Key) -> [[UInt8]] {
        let derived = key.derivedKey(for: "caller name")
        let id = key.id
        return callers.map { id + SHA256.authenticationCode($0, key: derived).prefix(callerNameSize) }
    }

    private static func sealingKey(_ key: KeyRing.Key, _ purpose: Purpose) -> [UInt8] {
        key.derivedKey(for: "seal \(purpose.rawValue)")
    }

    /// What is not in the text and yet has to be right.
    private func sealContext(_ key: KeyRing.Key, _ purpose: Purpose) -> [UInt8] {
        Seal.version + key.id + Array(purpose.rawValue.utf8) + [0] + deployment.withLock { $0 }
    }

    /// Keyed, because credentials that are easy to guess could be found from a plain hash with the key of the purpose alone; of
    /// the same key as the text, so that replicas with the ring agree.
    private static func callerTag(of caller: [UInt8], _ key: KeyRing.Key) -> ArraySlice<UInt8> {
        SHA256.authenticationCode(caller, key: key.derivedKey(for: "caller")).prefix(callerTagSize)
    }

    private static func expiryBytes(of expiry: UnixTime) -> [UInt8] {
        let seconds = UInt32(clamping: expiry.seconds)
        return [24, 16, 8, 0].map { UInt8(truncatingIfNeeded: seconds >> $0) }
    }
}
