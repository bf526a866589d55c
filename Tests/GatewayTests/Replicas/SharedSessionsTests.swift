import Crypto
import Legacy
import MCP
import Reactor
import Store
import TestSupport
import Testing

@testable import Gateway

/// Sessions that several loops have in common in one store, whose clock is moved by hand.
@Suite struct SharedSessionsTests {
    /// A session of a loop, as its place tells it what others do.
    private final class User: SharedSessionUser {
        private(set) var listens: [Bool] = []
        private(set) var moves = 0
        private(set) var isReplaced = false

        func listenToStream(_ listens: Bool) { self.listens.append(listens) }
        func streamHasMoved() { moves += 1 }
        func sessionWasReplaced() { isReplaced = true }
    }

    /// A loop of a replica.
    private final class Replica {
        let sessions: SharedSessions
        let loop: Loop

        init(
            _ store: FakeStore, on loop: Loop, knowsOthers: Bool = true,
            isolatingBy fields: [String] = ["authorization"]
        ) {
            self.loop = loop
            let seal = Seal(ring: KeyRing([[UInt8](repeating: 7, count: KeyRing.keySize)]), deployment: "/mcp")
            sessions = SharedSessions(store, prefix: "t:", seal: seal, on: loop)
            sessions.applySettings(
                CallerRules(CallerFields(isolateBy: fields), key: HashKey()), idleTimeout: .seconds(300))
            sessions.knowsReplicas = { knowsOthers }
        }

        func takePlace() throws -> any SharedPlace { try #require(sessions.takePlace(of: SharedSessionsTests.key)) }

        /// Has a session of its own, which is the one of all.
        func open(_ id: String) async throws -> (place: any SharedPlace, user: User) {
            let (place, session, user) = (try takePlace(), SharedSessionsTests.session(id), User())
            #expect(await place.findSession() == nil)
            #expect(await place.offerSession(session) == session)
            place.enterPlace(user, session, listens: true)
            return (place, user)
        }

        /// Uses the session that is there.
        func join(_ id: String) async throws -> (place: any SharedPlace, user: User) {
            let (place, user) = (try takePlace(), User())
            let found = try #require(await place.findSession())
            #expect(found == SharedSessionsTests.session(id))
            place.enterPlace(user, found, listens: false)
            for _ in 0..<4 { await loop.nextTurn() }
            return (place, user)
        }
    }

    private static let key = SessionKey(principal: .none, capabilities: Array("{}".utf8))

    private static func session(_ id: String) -> SharedSession {
        SharedSession(
            server: Array("127.0.0.1:1 /mcp".utf8), target: Array("/mcp".utf8), id: Array(id.utf8),
            cookies: Array("a=b".utf8), revision: .v2025_06_18, handshake: Array("{}".utf8), hasStream: true)
    }

    @Test func oneIsFoundByAll() async throws {
        try await withLoop { loop in
            let store = FakeStore()
            _ = try await Replica(store, on: loop).open("one")
            #expect(store.kinds == ["t:session", "t:session-stream"])
            _ = try await Replica(store, on: loop).join("one")
        }
    }

    @Test func ofTwoThatOpenAtOnceOneWins() async throws {
        try await withLoop { loop in
            let store = FakeStore()
            let places = try [Replica(store, on: loop), Replica(store, on: loop)].map { ($0, try $0.takePlace()) }
            for (_, place) in places { #expect(await place.findSession() == nil) }
            #expect(await places[1].1.offerSession(Self.session("two")) == Self.session("two"))
            #expect(await places[0].1.offerSession(Self.session("one")) == Self.session("two"))
        }
    }

    @Test func aLoopHasOnePlaceOfAKey() async throws {
        try await withLoop { loop in
            let replica = Replica(FakeStore(), on: loop)
            let first = try replica.takePlace()
            #expect(replica.sessions.takePlace(of: Self.key) == nil)
            first.retirePlace(isBroken: false)
            _ = try replica.takePlace()
            let others = SessionKey(principal: HashKey().hash([1]), capabilities: Array("{}".utf8))
            #expect(replica.sessions.takePlace(of: others) == nil, "a caller that nobody knows")
        }
    }

    @Test func replicasThatTellCallersApartInOtherWaysShareNothing() async throws {
        try await withLoop { loop in
            let store = FakeStore()
            _ = try await Replica(store, on: loop).open("one")
            _ = try await Replica(store, on: loop, isolatingBy: ["authorization", "x-tenant"]).open("two")
        }
    }

    @Test func onlyTheLastOneEndsIt() async throws {
        try await withLoop { loop in
            let store = FakeStore()
            let (one, other) = (Replica(store, on: loop), Replica(store, on: loop))
            let (first, second) = (try await one.open("one"), try await other.join("one"))
            #expect(await !first.place.leavePlace())
            #expect(store.kinds == ["t:session"], "nobody listens until the next round")
            #expect(await second.place.leavePlace())
            #expect(store.kinds.isEmpty)
        }
    }

    @Test func oneThatCrashedCountsForHalfAMinute() async throws {
        try await withLoop { loop in
            let store = FakeStore()
            let (one, other) = (Replica(store, on: loop), Replica(store, on: loop))
            let (_, second) = (try await one.open("one"), try await other.join("one"))
            store.now += 20_000
            await other.sessions.renewPlaces()
            store.now += 9_999
            #expect(await !second.place.leavePlace())
            let third = try await other.join("one")
            store.now += 1
            #expect(await third.place.leavePlace())
        }
    }

    @Test func anEntryOutlivesItsReplicasByTheIdleTimeout() async throws {
        try await withLoop { loop in
            let store = FakeStore()
            _ = try await Replica(store, on: loop).open("one")
            store.now += 329_999
            _ = try await Replica(store, on: loop).join("one")
            store.empty()
            _ = try await Replica(store, on: loop).open("two")
            store.now += 330_000
            #expect(store.kinds.isEmpty)
        }
    }

    @Test(arguments: [true, false]) func aStopLeavesItToOthers(knowsOthers: Bool) async throws {
        try await withLoop { loop in
            let store = FakeStore()
            let replica = Replica(store, on: loop, knowsOthers: knowsOthers)
            let (place, _) = try await replica.open("one")
            replica.sessions.processStops()
            #expect(replica.sessions.takePlace(of: Self.key) == nil)
            #expect(await place.leavePlace() != knowsOthers)
            #expect(store.kinds == (knowsOthers ? ["t:session"] : []))
        }
    }

    @Test func aBrokenOneIsReplacedOnce() async throws {
        try await withLoop { loop in
            let store = FakeStore()
            let (one, other) = (Replica(store, on: loop), Replica(store, on: loop))
            let (first, second) = (try await one.open("one"), try await other.join("one"))
            first.place.retirePlace(isBroken: true)
            let next = try await one.open("two")
            // The other one finds out by itself, and takes the new one.
            second.place.retirePlace(isBroken: true)
            _ = try await other.join("two")
            #expect(await !second.place.leavePlace(), "what others may use is not ended")
            #expect(await !next.place.leavePlace())
        }
    }

    @Test func othersHearThatItWasReplaced() async throws {
        try await withLoop { loop in
            let store = FakeStore()
            let (one, other) = (Replica(store, on: loop), Replica(store, on: loop))
            let (first, second) = (try await one.open("one"), try await other.join("one"))
            first.place.retirePlace(isBroken: true)
            _ = try await one.open("two")
            #expect(!second.user.isReplaced)
            await other.sessions.renewPlaces()
            #expect(second.user.isReplaced && !first.user.isReplaced)
            #expect(await !second.place.leavePlace())
            _ = try await other.join("two")
        }
    }

    @Test func oneListensAndAnotherTakesOver() async throws {
        try await withLoop { loop in
            let store = FakeStore()
            let replicas = (0..<3).map { _ in Replica(store, on: loop) }
            let first = try await replicas[0].open("one")
            let others = [try await replicas[1].join("one"), try await replicas[2].join("one")]
            for replica in replicas { await replica.sessions.renewPlaces() }
            #expect(first.user.listens.isEmpty && others.allSatisfy { $0.user.listens.isEmpty })
            // The first one is gone.
            store.now += 29_999
            await replicas[1].sessions.renewPlaces()
            #expect(others[0].user.listens.isEmpty)
            store.now += 1
            await replicas[1].sessions.renewPlaces()
            #expect(others[0].user.listens == [true])
            await replicas[2].sessions.renewPlaces()
            #expect(others[1].user.listens.isEmpty && others[1].user.moves == 1)
            // It was only slow.
            await replicas[0].sessions.renewPlaces()
            #expect(first.user.listens == [false] && !first.user.isReplaced)
        }
    }

    @Test func whileItIsAwayEachHasItsOwnAndThenOneWins() async throws {
        try await withLoop { loop in
            let store = FakeStore()
            store.failure = .unreachable("away")
            let replicas = [Replica(store, on: loop), Replica(store, on: loop)]
            var all: [(place: any SharedPlace, user: User)] = []
            for (index, replica) in replicas.enumerated() {
                let (place, session, user) = (try replica.takePlace(), Self.session("\(index)"), User())
                #expect(await place.findSession() == nil)
                #expect(await place.offerSession(session) == nil)
                place.enterPlace(user, session, listens: true)
                all.append((place, user))
            }
            await replicas[0].sessions.renewPlaces()
            store.failure = nil
            for replica in replicas { await replica.sessions.renewPlaces() }
            #expect(!all[0].user.isReplaced && all[1].user.isReplaced)
            // No other has used it.
            #expect(await all[1].place.leavePlace())
            _ = try await replicas[1].join("0")
        }
    }

    @Test func anEmptiedOneIsFilledAgain() async throws {
        try await withLoop { loop in
            let store = FakeStore()
            let (one, other) = (Replica(store, on: loop), Replica(store, on: loop))
            let first = try await one.open("one")
            store.empty()
            await one.sessions.renewPlaces()
            _ = try await other.join("one")
            #expect(!first.user.isReplaced)
        }
    }

    @Test func whatIsNoSessionIsReplaced() async throws {
        try await withLoop { loop in
            let store = FakeStore()
            let (one, other) = (Replica(store, on: loop), Replica(store, on: loop))
            let first = try await one.open("one")
            for nonsense in ["", "v1.", "nonsense", String(repeating: "x", count: 30_000)] {
                store.setSession(Array(nonsense.utf8))
                await one.sessions.renewPlaces()
                await one.sessions.renewPlaces()
            }
            _ = try await other.join("one")
            #expect(!first.user.isReplaced)
            // What fits into no command stays.
            store.setSession([UInt8](repeating: 0x78, count: 30_001))
            await one.sessions.renewPlaces()
            await one.sessions.renewPlaces()
            #expect(!first.user.isReplaced)
            let late = try Replica(store, on: loop).takePlace()
            #expect(await late.findSession() == nil)
        }
    }

    @Test(arguments: [StoreReply.nothing, .integer(7), .texts([]), .status([]), .text([]), .text([0xFF])])
    func aStoreThatLiesIsNoStore(lie: StoreReply) async throws {
        try await withLoop { loop in
            let store = FakeStore()
            store.lie = lie
            let replica = Replica(store, on: loop)
            let (place, session, user) = (try replica.takePlace(), Self.session("one"), User())
            #expect(await place.findSession() == nil)
            #expect(await place.offerSession(session) == nil)
            place.enterPlace(user, session, listens: true)
            await replica.sessions.renewPlaces()
            #expect(!user.isReplaced && user.listens.isEmpty)
            // It is ended where something else is there for certain.
            let isText = if case .text = lie { true } else { false }
            #expect(await place.leavePlace() == isText)
        }
    }

    /// The store may have done what it was asked, and another replica may have found the session.
    @Test(arguments: [
        (StoreFailure.unreachable("x"), true), (.full, true), (.timedOut, false), (.disconnected, false),
        (.malformed, false),
    ])
    func aClaimWithoutAnAnswerMayHaveHadItsEffect(failure: StoreFailure, isEnded: Bool) async throws {
        try await withLoop { loop in
            let store = FakeStore()
            let replica = Replica(store, on: loop)
            let (place, session) = (try replica.takePlace(), Self.session("one"))
            store.failure = failure
            #expect(await place.offerSession(session) == nil)
            place.enterPlace(User(), session, listens: true)
            #expect(await place.leavePlace() == isEnded)
        }
    }

    @Test func oneThatIsTooLargeIsNotShared() async throws {
        try await withLoop { loop in
            let store = FakeStore()
            let replica = Replica(store, on: loop)
            let place = try replica.takePlace()
            let large = SharedSession(
                server: [], target: Array("/".utf8), id: Array("x".utf8), cookies: [], revision: .v2025_06_18,
                handshake: [UInt8](repeating: 0x20, count: 22_000), hasStream: false)
            #expect(await place.offerSession(large) == nil)
            place.enterPlace(User(), large, listens: true)
            #expect(store.kinds.isEmpty)
            #expect(await place.leavePlace())
            _ = try replica.takePlace()
        }
    }

    @Test func anEntryIsReadAsItWasWritten() throws {
        let seal = Seal(ring: KeyRing([[UInt8](repeating: 7, count: KeyRing.keySize)]), deployment: "/mcp")
        let (entry, now) = (Array("entry".utf8), UnixTime.now)
        let text = try #require(SharedSessionEntry.sealedText(Self.session("s"), seal, entry: entry, at: now))
        #expect(SharedSessionEntry.openText(text, seal, entry: entry, at: now) == Self.session("s"))
        #expect(SharedSessionEntry.openText(text, seal, entry: Array("other".utf8), at: now) == nil)
        #expect(SharedSessionEntry.openText(text, seal, entry: entry, at: now + .seconds(31 * 86_400)) == nil)
        #expect(SharedSessionEntry.sealedText(Self.session(""), seal, entry: entry, at: now) == nil)
    }
}
