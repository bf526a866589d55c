internal import COpenSSL

/// Base64 (RFC 4648 §4).
package enum Base64 {
    /// The text of `bytes`, padded, without line breaks.
    package static func encodeBytes(_ bytes: [UInt8]) -> String {
        // The last byte is a zero of C's.
        var text = [UInt8](repeating: 0, count: (bytes.count + 2) / 3 * 4 + 1)
        let count = unsafe EVP_EncodeBlock(&text, bytes, Int32(bytes.count))
        return String(decoding: text.prefix(Int(count)), as: UTF8.self)
    }

    /// The bytes behind `text`; nil unless it is the one spelling that encoders write: padded, without line breaks or
    /// white space, and zero in the bits that no byte needs (RFC 4648 §3.5).
    package static func decodeText(_ text: [UInt8]) -> [UInt8]? {
        guard text.count % 4 == 0 else { return nil }
        if text.isEmpty { return [] }
        let padding = text.reversed().prefix { $0 == UInt8(ascii: "=") }.count
        guard padding <= 2, text.dropLast(padding).allSatisfy(isDigit) else { return nil }
        var bytes = [UInt8](repeating: 0, count: text.count / 4 * 3)
        // The padding is decoded to zeros, which are cut off here.
        let count = unsafe EVP_DecodeBlock(&bytes, text, Int32(text.count))
        guard count == bytes.count, bytes.suffix(padding).allSatisfy({ $0 == 0 }) else { return nil }
        bytes.removeLast(padding)
        return bytes
    }

    private static func isDigit(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "a")...UInt8(ascii: "z"): true
        case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "+"), UInt8(ascii: "/"): true
        default: false
        }
    }
}
