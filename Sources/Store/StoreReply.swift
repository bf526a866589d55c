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
