import Testing

@testable import Crypto

@Suite struct KeyTextTests {
    private static let key = (0..<32).map { UInt8($0 * 7 & 255) }
    private static let base64 = "AAcOFRwjKjE4P0ZNVFtiaXB3foWMk5qhqK+2vcTL0tk="
    private static let hexadecimal = "00070e151c232a31383f464d545b626970777e858c939aa1a8afb6bdc4cbd2d9"

    @Test(arguments: [base64, hexadecimal, hexadecimal.uppercased()], ["", "\n", "\r\n"])
    func bothSpellingsAreRead(_ text: String, _ end: String) {
        #expect(KeyText.readKey(Array((text + end).utf8)) == Self.key)
    }

    @Test(arguments: [
        "", "\n", "AAAA", base64 + "\n\n", base64 + " ", " " + base64, base64 + base64, String(base64.dropLast()),
        String(base64.dropLast(4)), String(hexadecimal.dropLast()), hexadecimal + "0", "g" + hexadecimal.dropFirst(),
        "0x" + hexadecimal, base64.replacing("+", with: "-"), hexadecimal + hexadecimal, "# key\n" + base64,
    ])
    func othersAreNot(_ text: String) { #expect(KeyText.readKey(Array(text.utf8)) == nil) }

    @Test func whatIsGeneratedIsReadAndNew() {
        let texts = (0..<100).map { _ in KeyText.generateKey() }
        #expect(Set(texts).count == 100)
        #expect(texts.allSatisfy { KeyText.readKey(Array(($0 + "\n").utf8)) != nil && $0.utf8.count < KeyText.maxSize })
    }

    @Test func base64IsWhatRFC4648Says() {
        let vectors = ["", "f", "fo", "foo", "foob", "fooba", "foobar"].map { Base64.encodeBytes(Array($0.utf8)) }
        #expect(vectors == ["", "Zg==", "Zm8=", "Zm9v", "Zm9vYg==", "Zm9vYmE=", "Zm9vYmFy"])
    }
}
