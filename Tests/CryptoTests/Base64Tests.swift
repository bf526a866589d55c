import Testing

@testable import Crypto

@Suite struct Base64Tests {
    /// RFC 4648 §10.
    @Test(
        arguments: [
            ("", ""), ("Zg==", "f"), ("Zm8=", "fo"), ("Zm9v", "foo"), ("Zm9vYg==", "foob"), ("Zm9vYmE=", "fooba"),
            ("Zm9vYmFy", "foobar"),
        ])
    func textIsDecoded(text: String, expected: String) {
        #expect(Base64.decodeText(Array(text.utf8)) == Array(expected.utf8))
    }

    @Test func everyByteIsDecoded() {
        #expect(Base64.decodeText(Array("AAECA/z9/v8=".utf8)) == [0, 1, 2, 3, 0xFC, 0xFD, 0xFE, 0xFF])
        #expect(Base64.decodeText(Array("+/+/".utf8)) == [0xFB, 0xFF, 0xBF])
        #expect(Base64.decodeText(Array("AAAA".utf8)) == [0, 0, 0])
    }

    @Test(
        arguments: [
            // Padding that is missing, misplaced or too much.
            "Z", "Zg", "Zg=", "Zm8", "Zm9vY", "Zg===", "Zg==Zg==", "=", "==", "====", "=Zg=", "Z=g=", "Zm9v====",
            "Zm9=v",
            // White space and line breaks.
            "Zm9 ", " Zm9", "Zm\n9v", "Zm9v\n", "Zm9v\r\n", "Zm9vYm\tY", "    ",
            // Other alphabets, and bytes that no alphabet has.
            "-_-_", "Zm9\u{0}", "Zm9*", "Zm9.", "Zmé",
            // Bits behind the last byte that are not zero: another spelling of the same bytes (RFC 4648 §3.5).
            "Zh==", "Zv==", "Zm9=", "Zm+=", "Zm9vYh==",
        ])
    func onlyTheOneSpellingIsAccepted(text: String) {
        #expect(Base64.decodeText(Array(text.utf8)) == nil)
    }

    @Test func bytesThatAreNoTextAreRefused() {
        #expect(Base64.decodeText([0xFF, 0xFF, 0xFF, 0xFF]) == nil)
        #expect(Base64.decodeText([0x5A, 0x6D, 0xC3, 0xA9]) == nil)
    }
}
