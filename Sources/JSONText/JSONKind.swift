/// The six kinds of value that RFC 8259 section 3 knows; `true` and `false` are one kind here.
package enum JSONKind: UInt8, Sendable {
    case object, array, string, number, boolean, null

    /// Written out: other modules look up the compiler's own by the protocol, at each comparison.
    @inline(__always)
    package static func == (left: JSONKind, right: JSONKind) -> Bool { left.rawValue == right.rawValue }

    @inline(__always)
    package static func != (left: JSONKind, right: JSONKind) -> Bool { left.rawValue != right.rawValue }

    /// The kind of the value that starts with this byte, or nil when no value does.
    @inline(__always)
    init?(firstByte: UInt8) {
        switch firstByte {
        case .quote: self = .string
        case .openBrace: self = .object
        case .openBracket: self = .array
        case .minus, .zero ... .nine: self = .number
        case UInt8(ascii: "t"), UInt8(ascii: "f"): self = .boolean
        case UInt8(ascii: "n"): self = .null
        default: return nil
        }
    }
}
