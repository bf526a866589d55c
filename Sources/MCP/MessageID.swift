package import JSONText

/// What names a request, or the progress of one, in JSON-RPC: a string or a number (2025-11-25, basic/index, "Requests").
/// `"1"` and `1` differ.
package struct MessageID: Hashable, Sendable {
    private let text: [UInt8]
    private let isString: Bool

    private init(text: [UInt8], isString: Bool) {
        self.text = text
        self.isString = isString
    }

    /// Nil where the value is neither a string nor a number.
    package init?(_ value: JSONValue, in document: JSONDocument) {
        switch value.kind {
        case .string: self.init(text: document.stringBytes(value) ?? [], isString: true)
        case .number: self.init(text: Array(document.raw(value)), isString: false)
        case .object, .array, .boolean, .null: return nil
        }
    }

    /// `"1"` for `1`, and `1` for `"1"`: how a server may spell the one when it was sent the other.
    package var misspelled: MessageID { MessageID(text: text, isString: !isString) }
}
