import Crypto
import HTTPTransport
import HTTPWire
import Testing

@testable import Gateway
@testable import HTTPTransport

@Suite struct PeerTokenTests {
    private static let ring = KeyRing([[UInt8](repeating: 1, count: 32)])
    private static let now = UnixTime(seconds: 1_800_000_000)
    private static let body = Array(#"{"jsonrpc":"2.0","id":1}"#.utf8)

    private static func token(_ ring: KeyRing = ring) -> PeerToken { PeerToken(Seal(ring: ring, deployment: "d")) }

    private static func memory() -> NonceMemory { NonceMemory(span: PeerToken.memory, max: 100, at: now) }

    /// A request as it leaves, with a token for `b`.
    private static func sent() -> String {
        let retry = HTTPServerRequest(
            head: try! parseHead(
                "POST /mcp HTTP/1.1\r\nHost: front:1\r\nAuthorization: Bearer A\r\nOrigin: http://x\r\nX: 1\r\n"
                    + "Remora-Peer: forged\r\nConnection: X-Hop\r\nX-Hop: 1\r\nContent-Length: \(body.count)\r\n\r\n"),
            body: body)
        let message = PeerMessage.retryMessage(retry, as: .serveRetry(loop: 0), from: nil, to: ("b", token()))
        return String(decoding: message.joined, as: UTF8.self)
    }

    /// Whether a request as it arrives is let in by `receiver`.
    private static func admits(
        _ text: String, by receiver: String = "b", ring: KeyRing = ring, after delay: Duration = .zero,
        _ memory: inout NonceMemory
    ) throws -> Bool {
        let end = try #require(text.firstRange(of: "\r\n\r\n")).upperBound
        let head = try parseHead(String(text[..<end]))
        let field = try #require(head.fields.first(PeerToken.field))
        guard let digest = PeerToken.requestDigest(of: head) else { return false }
        let body = token(ring).verifyToken(
            Array(field.bytes), of: digest, to: receiver, at: UnixTime.now + delay, &memory)
        return body == SHA256.digest(Array(text[end...].utf8))
    }

    private static func admits(
        _ text: String, by receiver: String = "b", ring: KeyRing = ring, after delay: Duration = .zero
    ) throws -> Bool {
        var memory = memory()
        return try admits(text, by: receiver, ring: ring, after: delay, &memory)
    }

    @Test func whatMattersOfTheClientGoesAlong() {
        let text = Self.sent()
        #expect(
            text.hasPrefix(
                "POST /answer/0 HTTP/1.1\r\nhost: front:1\r\nAuthorization: Bearer A\r\nX: 1\r\nremora-peer: v1."))
        #expect(
            text.hasSuffix(
                "\r\ncontent-length: \(Self.body.count)\r\n\r\n" + String(decoding: Self.body, as: UTF8.self)))
    }

    @Test func aTokenIsAcceptedOnce() throws {
        var memory = Self.memory()
        let text = Self.sent()
        let admitted = [
            try Self.admits(text, &memory), try Self.admits(text, &memory), try Self.admits(Self.sent(), &memory),
        ]
        #expect(admitted == [true, false, true])
    }

    @Test func forOneReceiverAndHoldersOfTheRingOnly() throws {
        #expect(try Self.admits(Self.sent()))
        #expect(try !Self.admits(Self.sent(), by: "c"))
        #expect(try !Self.admits(Self.sent(), ring: KeyRing([[UInt8](repeating: 2, count: 32)])))
    }

    @Test func forSecondsOnly() throws {
        #expect(try Self.admits(Self.sent(), after: .seconds(13)))
        #expect(try !Self.admits(Self.sent(), after: .seconds(16)))
        // A receiver whose clock is behind; beyond this, the token would outlive what is remembered of it.
        #expect(try Self.admits(Self.sent(), after: .seconds(-13)))
        #expect(try !Self.admits(Self.sent(), after: .seconds(-17)))
    }

    @Test(arguments: [
        ("POST /answer/0", "POST /answer/1"), ("POST /answer/0", "GET /answer/0"), ("Bearer A", "Bearer B"),
        ("X: 1", "X: 2"), ("X: 1", "Y: 1"), ("X: 1\r\n", ""), ("X: 1\r\n", "X: 1\r\nX: 1\r\n"),
        ("host: front:1", "host: front:2"), (#""id":1"#, #""id":2"#), ("Authorization: Bearer A\r\n", ""),
        ("X: 1\r\n", "X: 1\r\nMcp-Name: y\r\n"), ("content-length: 24", "content-length: 25"),
        ("content-length: 24", "transfer-encoding: chunked"),
    ])
    func forOneRequestOnly(_ part: String, _ other: String) throws {
        let text = Self.sent()
        let changed = text.replacing(part, with: other)
        #expect(changed != text)
        #expect(try !Self.admits(changed))
    }

    @Test func everyChangedCharacterIsNoticed() throws {
        let text = Self.sent()
        let start = try #require(text.firstRange(of: "remora-peer: ")).upperBound
        let end = try #require(text[start...].firstRange(of: "\r\n")).lowerBound
        for index in text[start..<end].indices {
            let other: Character = text[index] == "A" ? "B" : "A"
            #expect(try !Self.admits(text.replacingCharacter(at: index, with: other)))
        }
    }

    @Test func sealsForOtherPurposesAreNoTokens() throws {
        let seal = Seal(ring: Self.ring, deployment: "d")
        var memory = Self.memory()
        let digest = [UInt8](repeating: 0, count: SHA256.size)
        let payload = [UInt8](repeating: 0, count: 24) + digest + digest
        for purpose in Seal.Purpose.allCases where purpose != .peer {
            let text = seal.sealPayload(payload, for: purpose, caller: Array("b".utf8), until: Self.now + .seconds(10))
            let body = Self.token().verifyToken(text, of: digest, to: "b", at: Self.now, &memory)
            #expect(body == nil)
        }
        let short = seal.sealPayload([0], for: .peer, caller: Array("b".utf8), until: Self.now + .seconds(10))
        let body = Self.token().verifyToken(short, of: digest, to: "b", at: Self.now, &memory)
        #expect(body == nil)
    }

    @Test(arguments: [
        PeerTask.serveRetry(loop: 0), .serveRetry(loop: 63), .notify,
        .takeOver(CallID { [UInt8](repeating: 255, count: $0) }),
    ])
    func tasksAreRead(_ task: PeerTask) { #expect(PeerTask(task.target[...]) == task) }

    @Test(arguments: [
        "", "/", "/answer", "/answer/", "/answer/x", "/answer/-1", "/answer/00", "/answer/1/2", "/hear/", "/hear?x",
        "/succeed/", "/succeed/AAAA", "hear", "//hear", "/mcp", "/answer/99999999999999999999",
    ])
    func otherTargetsAreNone(_ target: String) { #expect(PeerTask(Array(target.utf8)[...]) == nil) }
}

extension String {
    fileprivate func replacingCharacter(at index: Index, with other: Character) -> String {
        String(self[..<index]) + String(other) + String(self[self.index(after: index)...])
    }
}

@Suite struct NonceMemoryTests {
    private static let start = UnixTime(seconds: 1000)

    private static func nonce(_ number: Int) -> ArraySlice<UInt8> {
        (0..<NonceMemory.size).map { UInt8(truncatingIfNeeded: number >> (8 * min($0, 7))) }[...]
    }

    private static func use(_ number: Int, _ memory: inout NonceMemory, after delay: Duration) -> Bool {
        memory.useNonce(nonce(number), at: start + delay)
    }

    @Test func eachIsRememberedForTheSpan() {
        // Whenever it is used within a generation, and however often others are.
        for moment in 0..<40 {
            var memory = NonceMemory(span: .seconds(10), max: 1000, at: Self.start)
            let first = Self.use(0, &memory, after: .seconds(moment))
            #expect(first)
            for later in 0..<10 {
                let again = Self.use(0, &memory, after: .seconds(moment + later))
                #expect(!again)
                _ = Self.use(later + 1, &memory, after: .seconds(moment + later))
            }
        }
    }

    @Test func nothingIsRememberedForEver() {
        var memory = NonceMemory(span: .seconds(10), max: 10, at: Self.start)
        let used = [Self.use(1, &memory, after: .zero), Self.use(1, &memory, after: .seconds(100))]
        #expect(used == [true, true])
    }

    @Test func whenItIsFullNothingIsLetIn() {
        var memory = NonceMemory(span: .seconds(10), max: 3, at: Self.start)
        var taken = (0..<5).map { Self.use($0, &memory, after: .zero) }
        taken += [Self.use(0, &memory, after: .zero), Self.use(9, &memory, after: .seconds(11))]
        #expect(taken == [true, true, true, false, false, false, true])
    }
}
