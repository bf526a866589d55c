import Crypto
import JSONText
import MCP
import Testing
import Translation

@testable import Gateway

@Suite struct RequestStateTests {
    private static let now = UnixTime(seconds: 1_800_000_000)
    private static let principal = Array("principal tag".utf8)
    private static let call = CallID { Array(UInt8(1)...UInt8($0)) }

    private static func request(
        _ params: String = #""name":"t","arguments":{"a":1,"b":"x"}"#, method: String = "tools/call"
    ) throws -> ModernRequest {
        try ParkedCallStage.request(params, "{}", method: method)
    }

    private static func state(_ resumption: RequestState.Resumption? = nil) throws -> RequestState {
        RequestState(
            issued: now, expires: now + .seconds(600), principal: principal, request: try digest(), call: call,
            phase: .dispatched, round: 3, owner: Array("replica-a".utf8), resumption: resumption)
    }

    private static func digest() throws -> [UInt8] { RequestState.digest(of: try request()) }

    private static let resumption = RequestState.Resumption(
        sessionID: Array("5e55".utf8), cookies: Array("lb=1; x=2".utf8), revision: .v2025_06_18, legacyRequestID: 41,
        lastEventID: Array("e/7".utf8),
        pending: [
            .init(key: Array("elicitation-1".utf8), legacyID: Array("0".utf8), kind: .form, question: Array(1...8)),
            .init(key: Array("name".utf8), legacyID: Array(#""0""#.utf8), kind: .url(elicitationID: Array("é".utf8))),
            .init(key: Array("p".utf8), legacyID: [], kind: .url(elicitationID: nil)),
            .init(key: Array("sampling-3".utf8), legacyID: Array("2".utf8), kind: .sampling),
            .init(key: Array("roots-4".utf8), legacyID: Array("3".utf8), kind: .roots),
        ],
        answers: [.init(key: Array("roots-0".utf8), text: Array(#"{"roots":[]}"#.utf8), question: Array(2...9))])

    // MARK: The encoding

    @Test func whatIsEncodedIsDecoded() throws {
        for resumption in [nil, Self.resumption] {
            let state = try Self.state(resumption)
            #expect(RequestState(state.encodedState()) == state)
        }
    }

    @Test func itIsSmallWithoutAResumption() throws {
        #expect(try Self.state().encodedState().count == 95)
    }

    /// A state has one encoding: whatever decodes is what encoding gives.
    @Test func everyOtherTextIsRefusedOrAnotherState() throws {
        for resumption in [nil, Self.resumption] {
            let encoded = try Self.state(resumption).encodedState()
            for count in 0..<encoded.count { #expect(RequestState(Array(encoded.prefix(count))) == nil) }
            #expect(RequestState(encoded + [0]) == nil)
            for index in encoded.indices {
                for change: UInt8 in [1, 2, 0x80, 0xFF] {
                    var changed = encoded
                    changed[index] ^= change
                    guard let state = RequestState(changed) else { continue }
                    #expect(state.encodedState() == changed, "byte \(index)")
                }
            }
        }
    }

    @Test func noTextStopsTheProcess() {
        var random = SystemRandomNumberGenerator()
        for _ in 0..<20_000 {
            let count = Int.random(in: 0..<200, using: &random)
            var text = (0..<count).map { _ in UInt8.random(in: 0...255, using: &random) }
            if !text.isEmpty { text[0] = 2 }
            guard let state = RequestState(text) else { continue }
            #expect(state.encodedState() == text)
        }
        #expect(RequestState([]) == nil)
        #expect(RequestState([UInt8](repeating: 1, count: 1_000_000)) == nil)
    }

    @Test(arguments: [0, 1, 255] as [UInt8]) func anotherVersionIsRefused(version: UInt8) throws {
        var encoded = try Self.state().encodedState()
        encoded[0] = version
        #expect(RequestState(encoded) == nil)
    }

    @Test func theModernRevisionHasNoSessionToResume() throws {
        let encoded = try Self.state(Self.resumption).encodedState()
        let place = try #require(encoded.firstRange(of: Array("2025-06-18".utf8)))
        for revision in ["2026-07-28", "2025-06-17"] {
            var changed = encoded
            changed.replaceSubrange(place, with: Array(revision.utf8))
            #expect(RequestState(changed) == nil)
        }
    }

    /// It then goes on where it is, and nowhere else.
    @Test func aResumptionThatIsTooLargeIsLeftOut() throws {
        let long = { (count: Int) in [UInt8](repeating: 0x61, count: count) }
        let changes: [(inout RequestState.Resumption) -> Void] = [
            { $0.sessionID = long(1025) }, { $0.cookies = long(4097) }, { $0.lastEventID = long(1025) },
            { $0.pending = Array(repeating: $0.pending[0], count: 33) }, { $0.pending[0].key = long(129) },
            { $0.pending[0].legacyID = long(129) }, { $0.pending[1].kind = .url(elicitationID: long(129)) },
            { $0.answers[0].text = long(16_384 - 8 - 4 - 7 + 1) }, { $0.answers[0].key = long(129) },
        ]
        for change in changes {
            var resumption = Self.resumption
            change(&resumption)
            let state = try Self.state(resumption)
            #expect(RequestState(state.encodedState()) == (try Self.state()))
        }
    }

    @Test func theLargestFitsIntoASeal() throws {
        let long = { (count: Int) in [UInt8](repeating: 0x61, count: count) }
        var resumption = Self.resumption
        resumption.sessionID = long(1024)
        resumption.cookies = long(4096)
        resumption.lastEventID = long(1024)
        let question = RequestState.Pending(
            key: long(128), legacyID: long(128), kind: .url(elicitationID: long(128)))
        resumption.pending = Array(repeating: question, count: 32)
        resumption.answers = [.init(key: long(7), text: long(16_384 - 8 - 4 - 7))]
        var state = try Self.state(resumption)
        state = RequestState(
            issued: state.issued, expires: state.expires, principal: long(32), request: state.request,
            call: state.call, phase: state.phase, round: .max, owner: long(64), resumption: resumption)
        let encoded = state.encodedState()
        #expect(encoded.count <= RequestState.maxSize)
        #expect(RequestState.maxSize <= Seal.maxPayload)
        #expect(RequestState(encoded) == state)
    }

    // MARK: The check

    @Test func theSameRequestMayGoOn() throws {
        let state = try Self.state()
        for params in [
            #""name":"t","arguments":{"a":1,"b":"x"}"#,
            #""arguments" : { "b":"\u0078" , "a":1 } ,"inputResponses":{"k":{}},"requestState":"s","name":"\u0074""#,
        ] {
            try state.checkRetry(Self.request(params), from: Self.principal, at: Self.now + .seconds(599))
        }
    }

    @Test(
        arguments: [
            (#""name":"u","arguments":{"a":1,"b":"x"}"#, "tools/call"), (#""name":"t""#, "tools/call"),
            (#""name":"t","arguments":{}"#, "tools/call"), (#""name":"t","arguments":{"a":1,"b":"y"}"#, "tools/call"),
            (#""name":"t","arguments":{"a":1.0,"b":"x"}"#, "tools/call"),
            (#""name":"t","arguments":{"a":1,"b":"x"}"#, "prompts/get"),
            (#""uri":"t","name":"t","arguments":{"a":1,"b":"x"}"#, "resources/read"),
        ])
    func anotherRequestMayNot(params: String, method: String) throws {
        let state = try Self.state()
        #expect(throws: RequestState.Invalid()) {
            try state.checkRetry(Self.request(params, method: method), from: Self.principal, at: Self.now)
        }
    }

    @Test func neitherMayAnotherCallerNorALateOne() throws {
        let state = try Self.state()
        for (principal, delay) in [(Array("another".utf8), 0), ([], 0), (Self.principal, 600)] {
            #expect(throws: RequestState.Invalid()) {
                try state.checkRetry(Self.request(), from: principal, at: Self.now + .seconds(delay))
            }
        }
    }

    /// To bring megabytes into their canonical form would hold up all others. Up to 64 KiB the order of members is no matter.
    @Test(arguments: [(60_000, true), (70_000, false)])
    func manyArgumentsAreComparedAsTheyAreSpelled(size: Int, isSame: Bool) throws {
        let text = String(repeating: "x", count: size)
        let digests = try [#""a":1,"b":"\#(text)""#, #""a":1,"b":"\#(text)""#, #""b":"\#(text)","a":1"#].map {
            RequestState.digest(of: try Self.request(#""name":"t","arguments":{\#($0)}"#))
        }
        #expect(digests[0] == digests[1])
        #expect((digests[0] == digests[2]) == isSame)
    }

    /// Numbers beyond what a double holds are still two.
    @Test func largeNumbersDiffer() throws {
        let digests = try ["9007199254740992", "9007199254740993"].map {
            RequestState.digest(of: try Self.request(#""name":"t","arguments":{"a":\#($0)}"#))
        }
        #expect(digests[0] != digests[1])
    }

    @Test func aResourceIsTheSameByItsURI() throws {
        let digests = try [#""uri":"a:b""#, #""uri":"\u0061:b""#, #""uri":"a:c""#].map {
            RequestState.digest(of: try Self.request($0, method: "resources/read"))
        }
        #expect(digests[0] == digests[1])
        #expect(digests[0] != digests[2])
    }
}
