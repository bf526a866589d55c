/// An answer of the store.
package enum StoreReply: Equatable, Sendable {
    /// `+OK`.
    case status([UInt8])
    case text([UInt8])
    case integer(Int64)
    /// There is no such value.
    case nothing
    /// A list of texts. What is no text in a list is no answer that is taken.
    case texts([[UInt8]])
    case error([UInt8])
}

extension StoreReply {
    /// Names and values in turn, as `HGETALL` answers; nil for any other answer.
    package var pairs: [(name: [UInt8], text: [UInt8])]? {
        guard case .texts(let texts) = self else { return nil }
        return stride(from: 0, to: texts.count - 1, by: 2).map { (texts[$0], texts[$0 + 1]) }
    }
}
