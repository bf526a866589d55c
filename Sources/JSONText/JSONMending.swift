/// What writers of JSON get wrong in ways that leave only one meaning.
package enum JSONMending {
    /// The text as JSON has it, as far as this goes: bytes that are no UTF-8 read as U+FFFD, control characters in strings are
    /// escaped, and `NaN` and `Infinity` are `null`, as writers of JavaScript have them. Whether it is JSON then, is to be
    /// looked at.
    ///
    /// - Returns: nil where there is nothing to mend, or it would have more than twice the bytes, and 256 more for short ones.
    package static func mendedText(_ text: [UInt8]) -> [UInt8]? {
        let decoded = Array(String(decoding: text, as: UTF8.self).utf8)
        let bytes = decoded.span
        var mended: [UInt8] = []
        mended.reserveCapacity(bytes.count + 64)
        var isInString = false
        // Whether a value may begin here.
        var awaitsValue = false
        var position = 0
        while position < bytes.count {
            guard mended.count <= 2 * text.count + 256 else { return nil }
            let byte = bytes[position]
            if isInString {
                position += 1
                if byte == .backslash {
                    // What a backslash before a line break means depends on who wrote it.
                    guard position < bytes.count, bytes[position] >= 0x20 else { return nil }
                    mended += [byte, bytes[position]]
                    position += 1
                } else if byte < 0x20 {
                    mended.appendEscaped(byte)
                } else {
                    isInString = byte != .quote
                    mended.append(byte)
                }
                continue
            }
            if awaitsValue, let name = nameOfNoNumber(bytes, at: position) {
                mended.append("null")
                position += name
                awaitsValue = false
                continue
            }
            mended.append(byte)
            position += 1
            if byte == .quote { isInString = true }
            if !byte.isJSONWhitespace { awaitsValue = byte == .colon || byte == .comma || byte == .openBracket }
        }
        return mended == text ? nil : mended
    }

    /// How long the name is that stands here for a number that JSON does not have.
    private static func nameOfNoNumber(_ text: Span<UInt8>, at position: Int) -> Int? {
        let names: [StaticString] = ["NaN", "Infinity", "-Infinity"]
        return names.first { name in
            let end = position + name.utf8CodeUnitCount
            return end <= text.count && name.withBytes { text.extracting(position..<end).isEqual(to: $0) }
        }?.utf8CodeUnitCount
    }
}
