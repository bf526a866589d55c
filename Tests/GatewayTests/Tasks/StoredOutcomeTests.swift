import Crypto
import JSONText
import Testing
import Translation

@testable import Gateway

/// How a task ended, on its way through the store.
@Suite struct StoredOutcomeTests {
    private static let seal = Seal(
        ring: KeyRing([[UInt8](repeating: 1, count: KeyRing.keySize)]), deployment: "d")
    private static let now = UnixTime(seconds: 1_800_000_000)
    private static let entry = Array("remora:task:x".utf8)

    private static func words(_ outcome: TaskOutcome) -> String {
        switch outcome {
        case .completed(let text):
            var bytes: [UInt8] = []
            text.append(to: &bytes)
            return "completed \(String(decoding: bytes, as: UTF8.self))"
        case .failed(let text): return "failed \(String(decoding: text, as: UTF8.self))"
        case .cancelled: return "cancelled"
        }
    }

    private static func stored(_ outcome: TaskOutcome, message: String = #""m""#) -> StoredOutcome {
        StoredOutcome(outcome: outcome, lastUpdatedAt: Array(#""t""#.utf8), message: Array(message.utf8))
    }

    private static func sealed(_ stored: StoredOutcome) -> [UInt8]? {
        stored.sealedText(seal, entry: entry, until: now + .seconds(10))
    }

    private static func opened(_ text: [UInt8]?, entry: [UInt8] = entry, at time: UnixTime = now) -> StoredOutcome? {
        text.flatMap { StoredOutcome.openText($0, seal, entry: entry, at: time) }
    }

    @Test func eachOutcomeComesBack() throws {
        let outcomes: [TaskOutcome] = [
            .completed(SplicedText(Array(#"{"content":[]}"#.utf8))), .failed(Array(#"{"code":1}"#.utf8)), .cancelled,
        ]
        for outcome in outcomes {
            let back = try #require(Self.opened(Self.sealed(Self.stored(outcome))))
            #expect(Self.words(back.outcome) == Self.words(outcome))
            #expect(back.lastUpdatedAt == Array(#""t""#.utf8) && back.message == Array(#""m""#.utf8))
        }
    }

    @Test func whatIsLargeIsNotStored() throws {
        func failure(of size: Int) -> TaskOutcome { .failed([UInt8](repeating: 0x61, count: size)) }
        let most = try #require(Self.opened(Self.sealed(Self.stored(failure(of: 40_000)))))
        #expect(most.outcome.size == 40_000)
        #expect(Self.sealed(Self.stored(failure(of: 40_001))) == nil)
        // A long message is left out.
        let long = String(repeating: "m", count: 4097)
        #expect(try #require(Self.opened(Self.sealed(Self.stored(.cancelled, message: long)))).message.isEmpty)
    }

    @Test func itIsForItsEntryAndItsTime() {
        let text = Self.sealed(Self.stored(.cancelled))
        #expect(Self.opened(text, entry: Array("remora:task:y".utf8)) == nil)
        #expect(Self.opened(text, at: Self.now + .seconds(10)) == nil)
        #expect(Self.opened(Array("v1.".utf8)) == nil)
    }

    @Test func whatIsNoOutcomeIsNone() {
        let payloads: [[UInt8]] = [
            [], [1], [2, 0, 0, 0, 0, 2], [1, 0, 0, 0, 0, 3], [1, 0, 0, 0, 0, 2, 0], [1, 0, 9, 0, 0, 2],
        ]
        for payload in payloads {
            let text = Self.seal.sealPayload(
                payload, for: .outcome, caller: Self.entry, until: Self.now + .seconds(10))
            #expect(Self.opened(text) == nil, "\(payload)")
        }
    }

    @Test func aCallAndItsTaskHaveEntriesOfTheirOwn() {
        let id = CallID { [UInt8](repeating: 7, count: $0) }
        #expect(StoredOutcome.entryName(of: id, prefix: "p:").starts(with: "p:task:".utf8))
        #expect(
            StoredOutcome.entryName(of: id, prefix: "").dropFirst(5)
                != Claim.entryName(of: id, prefix: "").dropFirst(5))
    }
}
