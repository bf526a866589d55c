/// The ids in a valid `traceparent` (W3C Trace Context, "traceparent Header Field Values").
package struct Traceparent: Sendable, Equatable {
    /// 32 hexadecimal digits in lower case.
    package let traceID: String
    /// 16 hexadecimal digits in lower case: the caller's span.
    package let spanID: String

    /// `version "-" trace-id "-" parent-id "-" trace-flags`, strictly. A version after 00 may have more behind another
    /// dash ("Versioning of traceparent"), which is not read.
    init?(_ text: ArraySlice<UInt8>) {
        let text = Array(text)
        guard (Traceparent.size...Traceparent.maxSize).contains(text.count),
            Traceparent.dashes.allSatisfy({ text[$0] == Traceparent.dash }),
            Traceparent.isHex(text[0..<2]), Traceparent.isHex(text[3..<35]), Traceparent.isHex(text[36..<52]),
            Traceparent.isHex(text[53..<55])
        else { return nil }
        let version = text[0..<2]
        // ff is no version, and ids of zeros are none.
        if version.elementsEqual("ff".utf8) || Traceparent.isZero(text[3..<35]) || Traceparent.isZero(text[36..<52]) {
            return nil
        }
        if text.count > Traceparent.size {
            let rest = text[Traceparent.size...]
            guard !Traceparent.isZero(version), rest.first == Traceparent.dash,
                rest.allSatisfy({ (0x21...0x7E).contains($0) })
            else { return nil }
        }
        traceID = String(decoding: text[3..<35], as: UTF8.self)
        spanID = String(decoding: text[36..<52], as: UTF8.self)
    }

    /// Of version 00, and of what later versions begin with.
    private static let size = 55
    /// Later versions may be longer ("Versioning of traceparent"), and only what is far too long is not let through.
    private static let maxSize = 512
    private static let dashes = [2, 35, 52]
    private static let dash = UInt8(ascii: "-")

    private static func isHex(_ digits: ArraySlice<UInt8>) -> Bool {
        digits.allSatisfy { (0x30...0x39).contains($0) || (0x61...0x66).contains($0) }
    }

    private static func isZero(_ digits: ArraySlice<UInt8>) -> Bool { digits.allSatisfy { $0 == 0x30 } }
}
