/// What values mean. Each answer is nil or false when the value is of another kind.
extension JSONDocument {
    /// A string as it reads. A surrogate without its other half, which the grammar allows, reads as U+FFFD.
    package func string(_ value: JSONValue) -> String? {
        guard let inside = stringContent(value) else { return nil }
        let bytes = bytes
        if value.isEscaped { return String(decoding: bytes.span.unescaped(inside), as: UTF8.self) }
        return bytes.span.extracting(inside).withUnsafeBufferPointer { String(decoding: $0, as: UTF8.self) }
    }

    /// The UTF-8 of a string as it reads; unpaired surrogates as in ``string(_:)``.
    package func stringBytes(_ value: JSONValue) -> [UInt8]? {
        let bytes = bytes
        return stringContent(value).map { bytes.span.unescaped($0) }
    }

    /// The value is a string and reads so.
    package func string(_ value: JSONValue, equals expected: StaticString) -> Bool {
        expected.withBytes { string(value, equals: $0) }
    }

    /// The value is a string and reads so. One with an unpaired surrogate reads as no text does: another reader may find
    /// something else there.
    package func string(_ value: JSONValue, equals expected: Span<UInt8>) -> Bool {
        guard let inside = stringContent(value) else { return false }
        let bytes = bytes
        return bytes.span.reads(TextRange(inside), isEscaped: value.isEscaped, as: expected)
            && !(value.isEscaped && bytes.span.hasUnpairedSurrogate(inside))
    }

    /// The value is a string and reads so.
    package func string(_ value: JSONValue, equals expected: [UInt8]) -> Bool {
        string(value, equals: expected.span)
    }

    /// An integer that is spelled as one and fits; `1.0` and `1e2` are nil.
    package func integer(_ value: JSONValue) -> Int64? {
        guard value.kind == .number, owns(value) else { return nil }
        let bytes = bytes
        let text = bytes.span.extracting(value.range)
        let isNegative = !text.isEmpty && text[0] == .minus
        let start = isNegative ? 1 : 0
        // As nearly all of them are: no number of so few digits is too large.
        if text.count <= 18 {
            var result: Int64 = 0
            for index in start..<text.count {
                guard text[index].isDigit else { return nil }
                result = result &* 10 &+ Int64(text[index] &- .zero)
            }
            return isNegative ? 0 &- result : result
        }
        var result: Int64 = 0
        for index in start..<text.count {
            guard text[index].isDigit else { return nil }
            let (tens, overflow) = result.multipliedReportingOverflow(by: 10)
            let unit = Int64(text[index] &- .zero)
            // Counted downwards for a negative number: there is one more of them.
            let (sum, carry) =
                isNegative ? tens.subtractingReportingOverflow(unit) : tens.addingReportingOverflow(unit)
            guard !overflow, !carry else { return nil }
            result = sum
        }
        return result
    }

    /// The value is a number without fraction and exponent, of any size.
    package func isSpelledAsInteger(_ value: JSONValue) -> Bool {
        guard value.kind == .number, owns(value) else { return false }
        let bytes = bytes
        let text = bytes.span.extracting(value.range)
        for index in text.indices where !text[index].isDigit && text[index] != .minus { return false }
        return true
    }

    /// `true` or `false`.
    package func boolean(_ value: JSONValue) -> Bool? {
        value.kind == .boolean && owns(value) ? bytes[value.range.lowerBound] == UInt8(ascii: "t") : nil
    }

    /// The inside of a string, without its quotes.
    private func stringContent(_ value: JSONValue) -> Range<Int>? {
        value.kind == .string && owns(value) ? value.range.lowerBound + 1..<value.range.upperBound - 1 : nil
    }
}
