/// The value of a field line, or its name: bytes of the head it came in, which it keeps alive.
///
/// A value has no optional whitespace around it and no control characters but HTAB. Bytes from 0x80 up are allowed in it
/// and have no defined encoding (RFC 9110 §5.5).
package struct HTTPFieldValue: Sendable {
    /// The raw bytes.
    package let bytes: ArraySlice<UInt8>

    init(_ bytes: ArraySlice<UInt8>) { self.bytes = bytes }

    /// Exactly these bytes?
    package func equals(_ other: StaticString) -> Bool { bytes.span.equals(other) }

    /// These bytes, but for the case of ASCII letters?
    package func equalsIgnoringCase(_ other: StaticString) -> Bool { bytes.span.equalsIgnoringCase(other) }

    /// Decoded as UTF-8, with U+FFFD for what is not UTF-8.
    package var string: String { String(decoding: bytes, as: UTF8.self) }

    /// The value as a decimal number without a sign, or nil if it is none or over `Int.max`.
    package var decimal: Int? { bytes.span.decimal }
}

extension HTTPFieldValue: Equatable {
    /// The same bytes, whatever heads they came in.
    package static func == (left: Self, right: Self) -> Bool { left.bytes == right.bytes }
}
