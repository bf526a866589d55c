import Testing

@testable import Gateway

@Suite struct HeaderRulesTests {
    @Test(
        arguments: [
            ("2025-11-25", "request"), ("2024-11-05", "request"), ("2026-07-28", "request"),
            ("2025-11-26", "400 -32020"),
            ("2027-01-01", "400 -32020"), ("", "400 -32020"), (nil, "400 -32020"),
            ("2025-11-25, 2026-07-28", "400 -32020"),
        ] as [(String?, String)])
    func anOlderRevisionInTheHeaderIsToleratedOnWish(header: String?, expected: String) throws {
        let knock = Knock().changed { $0.versionHeader = header }
        #expect(outcome(try knock.admitted(by: .test(toleratesOlderVersionHeader: true))).hasPrefix(expected))
        if header != "2026-07-28" { #expect(outcome(try knock.admitted()).hasPrefix("400 -32020")) }
        let older = knock.changed { $0.version = #""2025-11-25""# }
        #expect(!outcome(try older.admitted(by: .test(toleratesOlderVersionHeader: true))).hasPrefix("request"))
    }

    /// 2026-07-28, basic/transports/streamable-http, "Value Encoding".
    @Test(
        arguments: [
            ("add", "add"), ("", ""), ("a b\tc", "a b\tc"), ("~!", "~!"), ("=?base64?YWRk?=", "add"),
            ("=?base64?w6k=?=", "é"), ("=?base64??=", ""), ("=?base64?PT9iYXNlNjQ/WVdSaz89?=", "=?base64?YWRk?="),
            // What only resembles an encoded value is the value itself.
            ("=?base64?YWRk", "=?base64?YWRk"), ("YWRk?=", "YWRk?="), ("=?BASE64?YWRk?=", "=?BASE64?YWRk?="),
            ("=?base64?=", "=?base64?="), ("=?base64?", "=?base64?"), ("=?utf-8?q?a?=", "=?utf-8?q?a?="),
            // Badly encoded.
            ("=?base64?YWR?=", nil), ("=?base64?YW Rk?=", nil), ("=?base64?YWRk====?=", nil),
            ("=?base64?_-__?=", nil), ("=?base64?YWS=?=", nil), ("=?base64?é?=", nil),
            // Not visible ASCII.
            ("é", nil), ("a\u{7F}", nil), ("a\u{0}", nil), ("\u{1F}", nil), ("日本", nil),
        ] as [(String, String?)])
    func aValueIsDecoded(value: String, expected: String?) {
        let decoded = HeaderRules.decodeHeaderValue(Array(value.utf8)[...])
        #expect(decoded.map { Array($0) } == expected.map { Array($0.utf8) })
    }
}
