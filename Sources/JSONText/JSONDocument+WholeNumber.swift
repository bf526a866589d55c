/// Whole numbers by their value, in any spelling.
extension JSONDocument {
    /// Bytes of a number that is not spelled as an integer. An id has twenty digits at most.
    private static let maxSpelling = 40

    /// The whole number that a number is, or that a string holds as its only text: `2`, `2.0`, `20e-1`, `"2"`. Nil for a
    /// fraction, for what does not fit, and for a spelling of more than 40 bytes.
    package func wholeNumber(_ value: JSONValue) -> Int64? {
        if let integer = integer(value) { return integer }
        guard value.count <= JSONDocument.maxSpelling else { return nil }
        switch value.kind {
        case .number: return JSONDocument.wholeNumber(raw(value))
        case .string: return stringBytes(value).flatMap { JSONDocument.wholeNumber($0[...]) }
        case .object, .array, .boolean, .null: return nil
        }
    }

    private static func wholeNumber(_ text: ArraySlice<UInt8>) -> Int64? {
        // A string was not read as a number before.
        guard let first = text.first, first == .minus || first.isDigit,
            let end = try? JSONLexer.readNumber(Array(text).span, from: 0), end == text.count
        else { return nil }
        let isNegative = text.first == .minus
        let mark = text.firstIndex { $0 | 0x20 == UInt8(ascii: "e") } ?? text.endIndex
        let mantissa = text[..<mark].filter { $0 != .minus }
        let point = mantissa.firstIndex(of: UInt8(ascii: ".")) ?? mantissa.endIndex
        var digits = mantissa.filter(\.isDigit)
        guard let exponent = exponent(text[mark...].dropFirst()) else { return nil }
        // How many digits there are before the point.
        let whole = point + exponent
        if whole < digits.count {
            guard digits.dropFirst(max(whole, 0)).allSatisfy({ $0 == .zero }) else { return nil }
            digits.removeLast(digits.count - max(whole, 0))
        } else if digits.contains(where: { $0 != .zero }) {
            guard whole <= maxSpelling else { return nil }
            digits += [UInt8](repeating: .zero, count: whole - digits.count)
        }
        return integer(digits, isNegative: isNegative)
    }

    /// - Parameter text: what is behind the `e`; nothing is 0.
    private static func exponent(_ text: ArraySlice<UInt8>) -> Int? {
        let digits = text.filter(\.isDigit)
        guard let value = integer(digits, isNegative: text.first == .minus) else { return nil }
        // Larger ones than a spelling has digits are of numbers that do not fit, or of zero.
        return abs(value) <= maxSpelling ? Int(value) : nil
    }

    private static func integer(_ digits: [UInt8], isNegative: Bool) -> Int64? {
        var result: Int64 = 0
        for digit in digits {
            let (tens, overflow) = result.multipliedReportingOverflow(by: 10)
            let (sum, carry) = tens.addingReportingOverflow(Int64(digit - .zero))
            guard !overflow, !carry else { return nil }
            result = sum
        }
        return isNegative ? -result : result
    }
}
