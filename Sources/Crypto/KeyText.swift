/// A key of a ring as text: what `remora keygen` prints, and what the files of `replicas.keys` hold.
package enum KeyText {
    /// Longer than any spelling: a file need not be read any further.
    package static let maxSize = 128

    /// A new key, in base64, without a line end.
    package static func generateKey() -> String { Base64.encodeBytes(SecureRandom.bytes(KeyRing.keySize)) }

    /// The key that a text spells, in base64 or in hexadecimal digits, with one line end or none; nil when it spells no
    /// key of ``KeyRing/keySize`` bytes.
    package static func readKey(_ text: [UInt8]) -> [UInt8]? {
        var line = text[...]
        if line.last == UInt8(ascii: "\n") { line.removeLast() }
        if line.last == UInt8(ascii: "\r") { line.removeLast() }
        let key = hexadecimalBytes(line) ?? Base64.decodeText(Array(line))
        return key?.count == KeyRing.keySize ? key : nil
    }

    private static func hexadecimalBytes(_ digits: ArraySlice<UInt8>) -> [UInt8]? {
        guard digits.count == 2 * KeyRing.keySize else { return nil }
        let values = digits.compactMap(digitValue)
        guard values.count == digits.count else { return nil }
        return stride(from: 0, to: values.count, by: 2).map { values[$0] << 4 | values[$0 + 1] }
    }

    private static func digitValue(of digit: UInt8) -> UInt8? {
        switch digit {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): digit - UInt8(ascii: "0")
        case UInt8(ascii: "a")...UInt8(ascii: "f"): digit - UInt8(ascii: "a") + 10
        case UInt8(ascii: "A")...UInt8(ascii: "F"): digit - UInt8(ascii: "A") + 10
        default: nil
        }
    }
}
