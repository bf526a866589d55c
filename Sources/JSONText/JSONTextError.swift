/// Why a text is not JSON that we accept.
package struct JSONTextError: Error, Equatable, Sendable {
    /// What is wrong with it.
    package enum Reason: Sendable {
        /// The text stops where more must follow; an empty text too.
        case unexpectedEnd
        /// A byte that cannot stand here.
        case unexpectedByte
        /// A number with a leading zero, or without digits where RFC 8259 section 6 wants one.
        case invalidNumber
        /// A backslash with something after it that RFC 8259 section 7 does not list.
        case invalidEscape
        /// Not UTF-8 by RFC 3629: overlong, a surrogate, beyond U+10FFFF, or a broken sequence.
        case invalidUTF8
        /// A byte below 0x20 inside a string.
        case controlCharacter
        /// More arrays and objects inside one another than the caller allows.
        case tooDeep
        /// Something other than whitespace after the value.
        case trailingBytes
        /// 4 GiB or more.
        case tooLong
    }

    /// What was found first.
    package let reason: Reason

    /// The byte at which it was noticed, from 0; the length of the text when the text ended too early.
    package let offset: Int

    /// - Parameter offset: the byte at which it was noticed.
    package init(_ reason: Reason, at offset: Int) {
        self.reason = reason
        self.offset = offset
    }
}

extension JSONTextError: CustomStringConvertible {
    /// A sentence for the user of an API, with the offset but without anything of the text.
    package var description: String {
        let what =
            switch reason {
            case .unexpectedEnd: "the text ends too early"
            case .unexpectedByte: "unexpected byte"
            case .invalidNumber: "malformed number"
            case .invalidEscape: "unknown escape in a string"
            case .invalidUTF8: "not UTF-8"
            case .controlCharacter: "unescaped control character in a string"
            case .tooDeep: "arrays and objects are nested too deeply"
            case .trailingBytes: "something follows the value"
            case .tooLong: "the text is too long"
            }
        return "\(what) at offset \(offset)"
    }
}
