/// Why an event stream cannot be read any further.
package enum SSEDecodeError: Error, Sendable, Equatable {
    /// An event is over the limit, in bytes, that the decoder was made with.
    case eventTooLarge(limit: Int)
}

extension SSEDecodeError: CustomStringConvertible {
    /// What is wrong, for a person.
    package var description: String {
        switch self {
        case .eventTooLarge(let limit): "a server-sent event is over the limit of \(limit) bytes"
        }
    }
}
