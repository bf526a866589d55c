import Crypto

/// Which nonces were used lately, so that what was sent once is taken once. Each is remembered for at least ``span``.
struct NonceMemory {
    static let size = 16

    private let span: Duration
    private let max: Int
    private var current: Set<UInt128> = []
    private var previous: Set<UInt128> = []
    private var currentEnd: UnixTime

    /// - Parameters:
    ///   - span: longer than anything that carries a nonce is good.
    ///   - max: how many may come in this time. When it is full, nothing more is taken: to forget would let in what was
    ///     used.
    init(span: Duration, max: Int, at now: UnixTime) {
        self.span = span
        self.max = max
        currentEnd = now + span
    }

    /// Whether the nonce was not used before; it is from now on.
    ///
    /// - Parameter nonce: ``size`` bytes.
    mutating func use(_ nonce: ArraySlice<UInt8>, at now: UnixTime) -> Bool {
        if now >= currentEnd {
            // What is two spans old is good for nothing.
            previous = now < currentEnd + span ? current : []
            current = []
            currentEnd = now + span
        }
        let value = nonce.reduce(UInt128(0)) { $0 << 8 | UInt128($1) }
        guard current.count < max, !previous.contains(value) else { return false }
        return current.insert(value).inserted
    }
}
