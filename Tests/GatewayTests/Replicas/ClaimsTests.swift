import Crypto
import Reactor
import Store
import Telemetry
import TestSupport
import Testing

@testable import Gateway

/// A store with what claims use of it.
private final class ClaimStore: StoreConnection {
    weak var user: (any StoreUser)?
    let counts = StoreCounts()
    var values: [[UInt8]: [UInt8]] = [:]
    /// The lifetime that each value was given last.
    var lifetimes: [[UInt8]: Int] = [:]
    var members: [(name: [UInt8], text: [UInt8])] = []
    /// Of each command; nil: it does what it is asked.
    var failure: StoreFailure?
    /// What it answers in place of the truth.
    var lie: StoreReply?
    /// Called before each command that sets something.
    var beforeSetting: () -> Void = {}
    private(set) var commands = 0

    func startConnecting() {}

    func closeStore() {}

    func runCommands(_ commands: [StoreCommand]) async throws(StoreFailure) -> [StoreReply] {
        if let failure { throw failure }
        if let lie { return [lie] }
        return commands.map { command in
            self.commands += 1
            let words = command.arguments
            guard words[0].elementsEqual("EVAL".utf8) else {
                return .texts(members.flatMap { [$0.name, $0.text] })
            }
            beforeSetting()
            let (key, expected, value) = (words[3], words[4], words[5])
            if let found = values[key], found != expected { return .text(found) }
            values[key] = value
            lifetimes[key] = Int(String(decoding: words[6], as: UTF8.self))
            return .text(value)
        }
    }
}

/// Replicas `a`, `b` and `c`, whose claims are in one store.
@Suite struct ClaimsTests {
    private static let ring = KeyRing([[UInt8](repeating: 1, count: KeyRing.keySize)])
    private static let call = CallID { [UInt8](repeating: 7, count: $0) }

    private struct Play {
        let store = ClaimStore()
        let loop: Loop
        var seal = Seal(ring: ring, deployment: "d")

        func replica(_ name: String, process: String? = nil, by other: Seal? = nil) -> Claims {
            Claims(
                store, prefix: "p:", owner: Array("\(name)/0".utf8), process: process ?? "process of \(name)",
                seal: other ?? seal, on: loop, log: .silent)
        }

        /// The entry of a replica among those that run, written so long ago.
        func write(_ name: String, process: String? = nil, secondsAgo: Int64 = 0) {
            let entry = MemberEntry.entryName(of: name, seal)
            let time = UnixTime(seconds: UnixTime.now.seconds - secondsAgo)
            let member = MemberEntry(
                name: name, host: "h", port: 1, process: process ?? "process of \(name)", time: time.seconds)
            store.members.append((entry, member.sealedText(seal, entry: entry, until: time + .seconds(30))))
        }

        /// A claim as a replica made it so long ago.
        func claim(_ name: String, round: Int, secondsAgo: Int64) {
            let entry = Claim.entryName(of: call, prefix: "p:")
            let time = UnixTime(seconds: UnixTime.now.seconds - secondsAgo)
            store.values[entry] = Claim(
                owner: Array("\(name)/0".utf8), process: "process of \(name)", round: round, time: time
            ).sealedText(seal, entry: entry, until: time + .seconds(600))
        }
    }

    private static func play(_ body: @escaping @Sendable (Play) async throws -> Void) async throws {
        try await withLoop { loop in try await body(Play(loop: loop)) }
    }

    private static func take(_ claims: Claims, round: Int) async -> Claims.Outcome {
        await claims.takeAnswers(of: call, round: round, for: .seconds(60))
    }

    private static func takeOver(_ claims: Claims, round: Int, from owner: String = "a") async -> Claims.Outcome {
        await claims.takeOverCall(call, round: round, from: Array("\(owner)/0".utf8), for: .seconds(60))
    }

    private static func held(by name: String) -> Claims.Outcome { .held(by: Array("\(name)/0".utf8)) }

    @Test func anOwnerTakesEachRoundOnce() async throws {
        try await Self.play { play in
            let a = play.replica("a")
            for round in 1...3 {
                #expect(await Self.take(a, round: round) == .taken)
                #expect(await Self.take(a, round: round) == .takenBefore)
            }
            #expect(play.store.values.count == 1)
            let entry = try #require(play.store.values.keys.first)
            #expect(entry.starts(with: "p:call:".utf8) && entry.count == 7 + 22)
            #expect(play.store.lifetimes[entry] == 60_000)
        }
    }

    @Test func whoTakesOverFirstHasTheCall() async throws {
        try await Self.play { play in
            let (a, b, c) = (play.replica("a"), play.replica("b"), play.replica("c"))
            for name in "abc" { play.write("\(name)") }
            #expect(await Self.takeOver(b, round: 1) == .taken)
            #expect(await Self.takeOver(b, round: 1) == .takenBefore)
            #expect(await Self.takeOver(c, round: 1) == Self.held(by: "b"))
            // The owner was there all the time.
            #expect(await Self.take(a, round: 1) == Self.held(by: "b"))
            // Nor does it get the call back by asking once more.
            #expect(await Self.take(a, round: 2) == Self.held(by: "b"))
            #expect(await Self.takeOver(c, round: 2) == Self.held(by: "b"))
            #expect(await Self.take(b, round: 2) == .taken)
        }
    }

    @Test func answersThatNeverCameToTheOwnerAreTakenOver() async throws {
        try await Self.play { play in
            play.write("a")
            let a = play.replica("a")
            #expect(await Self.take(a, round: 1) == .taken)
            // It has asked once more since, and is not reached.
            #expect(await Self.takeOver(play.replica("b"), round: 2) == .taken)
            #expect(await Self.take(a, round: 2) == Self.held(by: "b"))
        }
    }

    @Test func answersOfOneThatRunsAreItsOwn() async throws {
        try await Self.play { play in
            play.write("a")
            #expect(await Self.take(play.replica("a"), round: 1) == .taken)
            #expect(await Self.takeOver(play.replica("b"), round: 1) == Self.held(by: "a"))
            // Another loop of it was not reached either.
            let other = Claims(
                play.store, prefix: "p:", owner: Array("a/1".utf8), process: "process of a", seal: play.seal,
                on: play.loop, log: .silent)
            #expect(await Self.takeOver(other, round: 1) == Self.held(by: "a"))
        }
    }

    @Test func answersOfOneThatIsGoneMayHaveBeenDelivered() async throws {
        try await Self.play { play in
            let b = play.replica("b")
            #expect(await Self.take(play.replica("a"), round: 1) == .taken)
            // All entries may have been lost a moment ago.
            #expect(await Self.takeOver(b, round: 1) == Self.held(by: "a"))
            // It was started again.
            play.write("a", secondsAgo: 9)
            play.write("a", process: "the next")
            #expect(await Self.takeOver(b, round: 1) == .takenBefore)
            #expect(await Self.take(b, round: 2) == .taken)
        }
    }

    @Test(arguments: [25, 31] as [Int64])
    func oneThatWroteNothingForSoLongIsGone(_ seconds: Int64) async throws {
        try await Self.play { play in
            play.claim("a", round: 1, secondsAgo: seconds)
            play.write("a", secondsAgo: 31)
            play.write("c")
            let outcome = seconds < 30 ? Self.held(by: "a") : .takenBefore
            #expect(await Self.takeOver(play.replica("b"), round: 1) == outcome)
        }
    }

    @Test func oneOfTwoAtOnceGetsIt() async throws {
        try await Self.play { play in
            let c = play.replica("c")
            play.write("c")
            play.claim("a", round: 1, secondsAgo: 100)
            // Another one comes between the two steps.
            var steps = 0
            play.store.beforeSetting = {
                steps += 1
                if steps == 2 { play.claim("c", round: 1, secondsAgo: 0) }
            }
            #expect(await Self.takeOver(play.replica("b"), round: 1) == Self.held(by: "c"))
            #expect(steps == 2)
            play.store.beforeSetting = {}
            #expect(await Self.takeOver(c, round: 1) == .takenBefore)
        }
    }

    @Test func anEntryThatChangesWithoutEndIsNotFollowed() async throws {
        try await Self.play { play in
            play.claim("a", round: 1, secondsAgo: 100)
            play.store.beforeSetting = { play.claim("a", round: 1, secondsAgo: 100) }
            #expect(await Self.takeOver(play.replica("b"), round: 1) == Self.held(by: "a"))
            #expect(play.store.commands < 10)
        }
    }

    @Test func whatTheStoreLostIsMadeAnew() async throws {
        try await Self.play { play in
            let a = play.replica("a")
            #expect(await Self.take(a, round: 1) == .taken)
            play.store.values = [:]
            #expect(await Self.take(a, round: 2) == .taken)
        }
    }

    @Test(arguments: [StoreFailure.timedOut, .full, .unreachable("away"), .refused("READONLY"), .disconnected])
    func aStoreThatCannotBeAskedSaysNothing(_ failure: StoreFailure) async throws {
        try await Self.play { play in
            play.store.failure = failure
            #expect(await Self.take(play.replica("a"), round: 1) == .unknown)
            #expect(await Self.takeOver(play.replica("b"), round: 1) == .unknown)
        }
    }

    @Test(arguments: [
        StoreReply.nothing, .integer(1), .status(Array("OK".utf8)), .texts([]), .text([]), .text([0xFF]),
        .text([UInt8](repeating: 0x61, count: 100_000)),
    ])
    func aStoreThatLiesSaysNothing(_ lie: StoreReply) async throws {
        try await Self.play { play in
            play.store.lie = lie
            #expect(await Self.take(play.replica("a"), round: 1) == .unknown)
            #expect(await Self.takeOver(play.replica("b"), round: 1) == .unknown)
        }
    }

    /// Who can write to the store, and has no key.
    @Test func anEntryOfAnotherCallIsNone() async throws {
        try await Self.play { play in
            let a = play.replica("a")
            #expect(await Self.take(a, round: 1) == .taken)
            let other = CallID { [UInt8](repeating: 8, count: $0) }
            play.store.values[Claim.entryName(of: other, prefix: "p:")] = play.store.values.values.first
            #expect(await a.takeAnswers(of: other, round: 1, for: .seconds(60)) == .unknown)
        }
    }

    @Test func ringsThatAreBeingChangedAgree() async throws {
        let keys = [[UInt8](repeating: 1, count: KeyRing.keySize), [UInt8](repeating: 2, count: KeyRing.keySize)]
        try await Self.play { play in
            let old = Seal(ring: KeyRing(keys), deployment: "d")
            let new = Seal(ring: KeyRing(keys.reversed()), deployment: "d")
            play.write("a")
            #expect(await Self.take(play.replica("a", by: old), round: 1) == .taken)
            #expect(await Self.takeOver(play.replica("b", by: new), round: 1) == Self.held(by: "a"))
            #expect(await Self.takeOver(play.replica("b", by: new), round: 2) == .taken)
            #expect(await Self.take(play.replica("a", by: old), round: 2) == Self.held(by: "b"))
        }
    }
}
