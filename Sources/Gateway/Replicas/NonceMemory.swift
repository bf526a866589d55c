import Crypto

/// The nonces that were used lately, so that a message is accepted once. Each of them is remembered for ``span`` at
/// least.
struct NonceMemory {
    static let size = 16

    private let span: Duration
    private let max: Int
    private var current: Set<UInt128> = []
    private var previous: Set<UInt128> = []
    private var currentEnd: UnixTime

    /// - Parameters:
    ///   - span: longer than the validity of any message with a nonce.
    ///   - max: how many nonces may be used in a span. Further ones are refused: to forget some would accept used ones
    ///     again.
    init(span: Duration, max: Int, at now: UnixTime) {
        self.span = span
        self.max = max
        currentEnd = now + span
    }

    /// Marks a nonce as used.
    ///
    /// - Parameter nonce: ``size`` bytes.
    /// - Returns: whether it was not used before.
    mutating func useNonce(_ nonce: ArraySlice<UInt8>, at now: UnixTime) -> Bool {
        if now >= currentEnd {
            // Messages that are two spans old are not valid any more.
            previous = now < currentEnd + span ? current : []
            current = []
            currentEnd = now + span
        }
        let value = nonce.reduce(UInt128(0)) { $0 << 8 | UInt128($1) }
        guard current.count < max, !previous.contains(value) else { return false }
        return current.insert(value).inserted
    }
}
