import Testing

@testable import Legacy

/// RFC 9110 §10.2.3: seconds or a date, and nothing else.
@Suite struct RetryAfterTests {
    private func published(_ value: String) -> String? {
        RetryAfter.publishedValue(Array(value.utf8)).map { String(decoding: $0, as: UTF8.self) }
    }

    @Test(arguments: [
        ("0", "0"), ("1", "1"), ("120", "120"), ("0007", "7"), ("86400", "86400"), ("86401", "86400"),
        ("99999", "86400"), ("100000", "86400"), (String(repeating: "9", count: 400), "86400"),
        (String(repeating: "0", count: 400), "0"),
        ("Sun, 06 Nov 1994 08:49:37 GMT", "Sun, 06 Nov 1994 08:49:37 GMT"),
        ("Tue, 31 Dec 2030 23:59:60 GMT", "Tue, 31 Dec 2030 23:59:60 GMT"),
    ])
    func passesOn(_ value: String, _ expected: String) { #expect(published(value) == expected) }

    @Test(arguments: [
        "", " ", "-1", "+1", "1.5", "1e3", "1 ", "1, 2", "soon", "٣", "0x10", "Sunday, 06-Nov-94 08:49:37 GMT",
        "Sun Nov  6 08:49:37 1994", "Sun, 06 Nov 1994 08:49:37 UTC", "sun, 06 Nov 1994 08:49:37 GMT",
        "Xyz, 06 Nov 1994 08:49:37 GMT", "Sun, 06 Nix 1994 08:49:37 GMT", "Sun, 00 Nov 1994 08:49:37 GMT",
        "Sun, 32 Nov 1994 08:49:37 GMT", "Sun, 06 Nov 1994 24:00:00 GMT", "Sun, 06 Nov 1994 08:60:37 GMT",
        "Sun, 06 Nov 1994 08:49:61 GMT", "Sun, 06 Nov 199x 08:49:37 GMT", "Sun, 06 Nov 1994 08:49:37 GMT ",
    ])
    func dropsWhatIsNeither(_ value: String) { #expect(published(value) == nil) }
}
