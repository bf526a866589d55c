import Testing

@testable import Crypto

/// The algorithms against the examples of those who wrote them down.
@Suite struct PrimitiveTests {
    private static func bytes(_ hexadecimal: String) -> [UInt8] {
        let digits = hexadecimal.utf8.map { UInt8(String(UnicodeScalar($0)), radix: 16)! }
        return stride(from: 0, to: digits.count, by: 2).map { digits[$0] << 4 | digits[$0 + 1] }
    }

    /// FIPS 180-4, example "abc".
    @Test func sha256() {
        #expect(
            SHA256.digest(Array("abc".utf8))
                == Self.bytes("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"))
        #expect(
            SHA256.digest([]) == Self.bytes("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"))
    }

    /// RFC 4231 §4.3.
    @Test func authenticationCode() {
        let code = SHA256.authenticationCode(Array("what do ya want for nothing?".utf8), key: Array("Jefe".utf8))
        #expect(code == Self.bytes("5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"))
    }

    /// RFC 5869 §A.3, from the key that its extraction gives on.
    @Test func derivedKey() {
        let key = Self.bytes("19ef24a32c717b167f33a91d6f648bdf96596776afdb6377ac434c1c293ccb04")
        #expect(
            SHA256.derivedKey(from: key, for: "")
                == Self.bytes("8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d"))
    }

    /// The Galois/Counter Mode of Operation (McGrew, Viega), test cases 13, 14 and 16.
    @Test func aesGCM() {
        let zeros = [UInt8](repeating: 0, count: 32)
        let nonce = [UInt8](repeating: 0, count: 12)
        #expect(
            AESGCM.encryptText([], key: zeros, nonce: nonce, context: [])
                == Self.bytes("530f8afbc74536b9a963b4f1c4cb738b"))
        #expect(
            AESGCM.encryptText([UInt8](repeating: 0, count: 16), key: zeros, nonce: nonce, context: [])
                == Self.bytes("cea7403d4d606b6e074ec5d3baf39d18d0d1c8a799996bf0265b98b5d48ab919"))
        let text = Self.bytes(
            "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72"
                + "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39")
        let sealed = AESGCM.encryptText(
            text, key: Self.bytes("feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308"),
            nonce: Self.bytes("cafebabefacedbaddecaf888"),
            context: Self.bytes("feedfacedeadbeeffeedfacedeadbeefabaddad2"))
        #expect(
            sealed
                == Self.bytes(
                    "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa"
                        + "8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662"
                        + "76fc6ece0f4e1768cddf8853bb2d551b"))
    }

    @Test func base64URL() {
        // RFC 4648 §10, without the padding, and the two digits in which the alphabets differ.
        let examples = [
            "": "", "f": "Zg", "fo": "Zm8", "foo": "Zm9v", "foob": "Zm9vYg", "fooba": "Zm9vYmE", "foobar": "Zm9vYmFy",
        ]
        for (text, encoded) in examples {
            #expect(Base64URL.encodeBytes(Array(text.utf8)) == Array(encoded.utf8))
            #expect(Base64URL.decodeText(Array(encoded.utf8)) == Array(text.utf8))
        }
        #expect(Base64URL.encodeBytes([0xFB, 0xFF]) == Array("-_8".utf8))
        for count in 0..<70 {
            let bytes = SecureRandom.bytes(count)
            #expect(Base64URL.decodeText(Base64URL.encodeBytes(bytes)) == bytes)
        }
    }

    @Test(arguments: ["Z", "Zm9vY", "Zh", "Zm9", "Zg==", "Zm9v\n", "Zm 9v", "Z+", "Z/", "Zé"])
    func otherSpellingsAreNotBase64URL(text: String) {
        #expect(Base64URL.decodeText(Array(text.utf8)) == nil)
    }
}

@Suite struct UnixTimeTests {
    @Test(arguments: [
        (0, "1970-01-01T00:00:00Z"), (-1, "1969-12-31T23:59:59Z"), (951_782_400, "2000-02-29T00:00:00Z"),
        (951_868_800, "2000-03-01T00:00:00Z"), (4_107_542_399, "2100-02-28T23:59:59Z"),
        (4_107_542_400, "2100-03-01T00:00:00Z"), (1_764_066_600, "2025-11-25T10:30:00Z"),
        (253_402_300_799, "9999-12-31T23:59:59Z"), (-62_135_596_800, "0001-01-01T00:00:00Z"),
    ])
    func isWritten(seconds: Int64, text: String) { #expect(UnixTime(seconds: seconds).iso8601 == text) }

    /// Each day follows the one before, over leap years and ends of centuries.
    @Test func daysFollowEachOther() {
        var before = UnixTime(seconds: -2_208_988_800).iso8601
        for day in 1...80_000 {
            let text = UnixTime(seconds: -2_208_988_800 + Int64(day) * 86_400).iso8601
            #expect(text.count == 20 && before < text)
            before = text
        }
    }
}
