import Testing

@testable import Legacy

/// RFC 3986 §5, and what must not be followed.
@Suite struct EndpointReferenceTests {
    private func resolve(
        _ reference: String, against target: String = "/a/sse?x=1", host: String = "h:9000", isSecure: Bool = false
    ) -> String? {
        EndpointReference.resolveReference(
            Array(reference.utf8), against: Array(target.utf8), host: Array(host.utf8), isSecure: isSecure
        )
        .map { String(decoding: $0, as: UTF8.self) }
    }

    @Test(arguments: [
        ("/messages/?session_id=1", "/messages/?session_id=1"), ("messages?s=1", "/a/messages?s=1"),
        ("?s=1", "/a/sse?s=1"), ("../m", "/m"), ("../../../m", "/m"), ("./m/.", "/a/m/"), ("/", "/"),
        ("http://h:9000/m", "/m"), ("HTTP://H:9000/m?q", "/m?q"), ("//h:9000/m", "/m"), ("http://h:9000", "/"),
        ("http://h:9000?q=/x", "/?q=/x"), ("/m#part", "/m"), ("/m?u=http://x/", "/m?u=http://x/"),
        ("/ü", "/%C3%BC"), ("é/%C3?日=1", "/a/%C3%A9/%C3?%E6%97%A5=1"), ("http://h:9000/é#ü", "/%C3%A9"),
    ])
    func resolves(_ reference: String, _ target: String) {
        #expect(resolve(reference) == target)
    }

    @Test func knowsTheDefaultPort() {
        #expect(resolve("http://h/m", host: "h:80") == "/m")
        #expect(resolve("http://h:80/m", host: "h") == "/m")
        #expect(resolve("https://h:443/m", host: "h", isSecure: true) == "/m")
        #expect(resolve("https://h:80/m", host: "h", isSecure: true) == nil)
        #expect(resolve("http://h/m", host: "h", isSecure: true) == nil)
    }

    @Test(arguments: [
        "", "http://other/m", "http://h:9001/m", "https://h:9000/m", "//evil/m", "http://h:9000@evil/m",
        "ftp://h:9000/m",
        "http://u@h:9000/m", "/a b", "/m\r\nX: y", "/\u{7F}", "http://hé:9000/m", "//h\u{661}:9000/m", "file:/m",
        "http:/m", "javascript:alert(1)",
    ])
    func refuses(_ reference: String) {
        #expect(resolve(reference) == nil)
    }
}
