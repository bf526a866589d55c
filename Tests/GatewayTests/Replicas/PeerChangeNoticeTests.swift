import Crypto
import Testing
import Translation

@testable import Gateway

@Suite struct PeerChangeNoticeTests {
    private static let seal = Seal(ring: KeyRing([[UInt8](repeating: 1, count: 32)]), deployment: "d")
    private static let caller = seal.callerName(of: Array("Bearer a".utf8))
    private static let notices: [ChangeNotice] = [
        .toolsListChanged, .promptsListChanged, .resourcesListChanged, .resourceUpdated(Array("a:///\"é\n".utf8)),
        .resourceUpdated([]),
    ]

    @Test func aBatchIsRead() throws {
        let batch = Self.notices.map { PeerChangeNotice(caller: Self.caller, notice: $0) }
        #expect(try #require(ChangeNoticeBatch.readBatch(ChangeNoticeBatch.batchText(batch))) == batch)
        #expect(ChangeNoticeBatch.readBatch(ChangeNoticeBatch.batchText([])) == [])
    }

    @Test(arguments: [
        "", "{}", "[[]]", "[1]", #"[["x","tools"]]"#, #"[["NAME"]]"#, #"[["NAME","tool"]]"#, #"[["NAME","tools",1]]"#,
        #"[["NAME","resource"]]"#, #"[["NAME","resource",1]]"#, #"[["NAME","resource","a","b"]]"#, #"[["NAME",1]]"#,
        #"[["NAME","tools"],null]"#,
    ])
    func nothingElseIs(_ text: String) {
        let name = String(decoding: Base64URL.encodeBytes(Self.caller), as: UTF8.self)
        #expect(ChangeNoticeBatch.readBatch(Array(text.replacing("NAME", with: name).utf8)) == nil)
        #expect(ChangeNoticeBatch.readBatch(Array(#"[["\#(name)","tools"]]"#.utf8))?.count == 1)
    }

    @Test func aNoticeTwiceIsANoticeOnceAndAQueueHasAnEnd() {
        var queue = ChangeNoticeQueue()
        for _ in 0..<3 {
            for notice in Self.notices { queue.addNotice(PeerChangeNotice(caller: Self.caller, notice: notice)) }
        }
        #expect(queue.takeBatch().map(\.notice) == Self.notices)
        #expect(queue.isEmpty && queue.takeBatch().isEmpty)
        queue.addNotice(
            PeerChangeNotice(
                caller: Self.caller,
                notice: .resourceUpdated([UInt8](repeating: 97, count: ChangeNoticeBatch.maxURI + 1))))
        #expect(queue.isEmpty)
        for number in 0..<2 * ChangeNoticeBatch.max {
            queue.addNotice(PeerChangeNotice(caller: Self.caller, notice: .resourceUpdated(Array("\(number)".utf8))))
        }
        let batch = queue.takeBatch()
        #expect(batch.count == ChangeNoticeBatch.max)
        #expect(ChangeNoticeBatch.readBatch(ChangeNoticeBatch.batchText(batch)) == batch)
        #expect(ChangeNoticeBatch.readBatch(ChangeNoticeBatch.batchText(batch + batch)) == nil)
    }

    @Test func callersAreFoundByTheirNames() throws {
        let old = KeyRing([[UInt8](repeating: 1, count: 32)])
        let both = KeyRing([[UInt8](repeating: 2, count: 32), [UInt8](repeating: 1, count: 32)])
        let key = HashKey()
        let callers = CallerRules(CallerFields(isolateBy: ["authorization"]), key: key)
        func caller(_ token: String) throws -> Caller {
            callers.identifyCaller(
                of: try parseHead("POST / HTTP/1.1\r\nHost: h\r\nAuthorization: \(token)\r\n\r\n"), subject: nil)
        }
        let here = Seal(ring: both, deployment: "d")
        let known = KnownCallers(callers, seal: here)
        let (a, b) = (try caller("Bearer a"), try caller("Bearer b"))
        // With every key of the ring that the other one may seal with.
        for other in [Seal(ring: old, deployment: "d"), here, Seal(ring: old, deployment: "e")] {
            #expect(known.knownPrincipal(other.callerName(of: a.identity)) == a.principal)
            #expect(known.knownPrincipal(other.callerName(of: b.identity)) == b.principal)
            #expect(known.knownPrincipal(other.callerName(of: [])) == KeyedHash.none)
            #expect(known.knownPrincipal(other.callerName(of: Array("Bearer a".utf8))) == nil)
        }
        let stranger = Seal(ring: KeyRing([[UInt8](repeating: 3, count: 32)]), deployment: "d")
        #expect(known.knownPrincipal(stranger.callerName(of: a.identity)) == nil)
        let c = try caller("Bearer c")
        #expect(known.knownPrincipal(here.callerName(of: c.identity)) == c.principal)
    }
}
