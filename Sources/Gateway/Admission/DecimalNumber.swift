/// A number as JSON spells it, by its exact value: `42.0`, `4.2e1` and `42` are equal, and two integers beyond 2^53 that a
/// `Double` would take for one are not.
struct DecimalNumber: Equatable {
    private let isNegative: Bool
    /// Behind the decimal point, without zeros at either end. None is zero.
    private let digits: [UInt8]
    /// How many of them are before the point; below zero for zeros behind it.
    private let point: Int

    /// Nil when it is not spelled as RFC 8259 section 6 has it, or has no finite value in most readers.
    init?(_ text: ArraySlice<UInt8>) {
        var rest = text
        let isNegative = DecimalNumber.takeByte(UInt8(ascii: "-"), from: &rest)
        let whole = DecimalNumber.takeDigits(from: &rest)
        guard !whole.isEmpty, whole.count == 1 || whole.first != DecimalNumber.zero else { return nil }
        var fraction: ArraySlice<UInt8> = []
        if DecimalNumber.takeByte(UInt8(ascii: "."), from: &rest) {
            fraction = DecimalNumber.takeDigits(from: &rest)
            guard !fraction.isEmpty else { return nil }
        }
        var exponent = 0
        if DecimalNumber.takeByte(UInt8(ascii: "e"), from: &rest)
            || DecimalNumber.takeByte(UInt8(ascii: "E"), from: &rest)
        {
            let isBelowOne = DecimalNumber.takeByte(UInt8(ascii: "-"), from: &rest)
            if !isBelowOne { _ = DecimalNumber.takeByte(UInt8(ascii: "+"), from: &rest) }
            let spelled = DecimalNumber.takeDigits(from: &rest).drop { $0 == DecimalNumber.zero }
            guard rest.startIndex > text.startIndex, DecimalNumber.isDigit(text[rest.startIndex - 1]),
                spelled.count <= DecimalNumber.maxExponentDigits
            else { return nil }
            exponent = spelled.reduce(0) { $0 * 10 + Int($1 - DecimalNumber.zero) }
            if isBelowOne { exponent = -exponent }
        }
        guard rest.isEmpty else { return nil }
        var digits = whole + fraction
        // Text is shorter than 2^32 bytes and the exponent has few digits: nothing overflows.
        var point = whole.count + exponent
        while digits.first == DecimalNumber.zero {
            digits = digits.dropFirst()
            point -= 1
        }
        while digits.last == DecimalNumber.zero { digits = digits.dropLast() }
        if digits.isEmpty { point = 0 }
        guard point <= DecimalNumber.maxPoint else { return nil }
        self.isNegative = isNegative && !digits.isEmpty
        self.digits = Array(digits)
        self.point = point
    }

    private static let zero = UInt8(ascii: "0")
    private static let maxExponentDigits = 6
    /// Numbers below 10^308 are finite as a `Double`.
    private static let maxPoint = 308

    private static func isDigit(_ byte: UInt8) -> Bool { (0x30...0x39).contains(byte) }

    private static func takeByte(_ byte: UInt8, from text: inout ArraySlice<UInt8>) -> Bool {
        guard text.first == byte else { return false }
        text = text.dropFirst()
        return true
    }

    private static func takeDigits(from text: inout ArraySlice<UInt8>) -> ArraySlice<UInt8> {
        let digits = text.prefix(while: isDigit)
        text = text.dropFirst(digits.count)
        return digits
    }
}
