/// What a decoder found next in its input.
package enum HTTPEvent<Head: Sendable>: Sendable {
    /// All input is consumed, and what an incomplete head needs of it is kept. Receive more.
    case needMoreInput

    /// A message begins.
    case head(Head)

    /// A piece of the body: these indices of the input span, never an empty range.
    case body(Range<Int>)

    /// The message is complete. What follows it in the input is not consumed.
    case end
}

extension HTTPEvent: Equatable where Head: Equatable {}
