/// Names a call from its first question until its answer is no longer kept, in the sealed `requestState` too. 128 random bits: it
/// is the same call at every replica, and no id is found by chance.
struct CallID: Hashable, Sendable {
    static let size = 16

    let bytes: [UInt8]

    /// - Parameter random: gives that many bytes that cannot be guessed.
    init(random: (Int) -> [UInt8]) { bytes = random(CallID.size) }

    /// Nil unless there are just as many bytes.
    init?(bytes: [UInt8]) {
        guard bytes.count == CallID.size else { return nil }
        self.bytes = bytes
    }
}
