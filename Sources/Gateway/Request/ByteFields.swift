/// Fields one after the other, as what is sealed has them. Integers have their most significant byte first; what has a variable length
/// says it in two bytes.
struct FieldWriter {
    private(set) var text: [UInt8] = []

    mutating func integer(_ value: some FixedWidthInteger & UnsignedInteger) {
        for shift in stride(from: value.bitWidth - 8, through: 0, by: -8) {
            text.append(UInt8(truncatingIfNeeded: value >> shift))
        }
    }

    mutating func fixed(_ bytes: [UInt8]) { text += bytes }

    /// - Parameter bytes: at most 65,535.
    mutating func bytes(_ bytes: [UInt8]) {
        integer(UInt16(bytes.count))
        text += bytes
    }
}

/// Reads what ``FieldWriter`` has written. What is something else is nil.
struct FieldReader {
    private var rest: ArraySlice<UInt8>

    init(_ text: [UInt8]) { rest = text[...] }

    var isAtEnd: Bool { rest.isEmpty }

    mutating func fixed(_ count: Int) -> [UInt8]? {
        guard rest.count >= count else { return nil }
        defer { rest = rest.dropFirst(count) }
        return Array(rest.prefix(count))
    }

    mutating func integer<Integer: FixedWidthInteger & UnsignedInteger>(_: Integer.Type) -> Integer? {
        fixed(Integer.bitWidth / 8).map { $0.reduce(0) { $0 << 8 | Integer($1) } }
    }

    /// All that is left.
    mutating func rest(atMost most: Int) -> [UInt8]? {
        guard rest.count <= most else { return nil }
        defer { rest = [] }
        return Array(rest)
    }

    mutating func bytes(atMost most: Int) -> [UInt8]? {
        guard let count = integer(UInt16.self), count <= most else { return nil }
        return fixed(Int(count))
    }
}
