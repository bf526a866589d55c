import Crypto
import MCP
import Reactor
import TestSupport
import Testing
import Translation

@testable import Legacy

/// What a pool makes of sessions that replicas have in common, with a directory that does what the test says.
@Suite struct SessionPoolSharingTests {
    private final class Directory: SessionDirectory {
        /// All places that were taken.
        private(set) var places: [Place] = []
        /// What a search finds; nil: nothing.
        var there: SharedSession?
        /// What is there after an offer; nil: what was offered.
        var faster: SharedSession?
        var isUnreachable = false
        /// Whether sessions that are left are to be ended.
        var isLast = false
        private(set) var hasStopped = false

        func takePlace(of key: SessionKey) -> (any SharedPlace)? {
            let place = Place(self)
            places.append(place)
            return place
        }

        func processStops() { hasStopped = true }

        var place: Place? { places.last }
    }

    private final class Place: SharedPlace {
        private let directory: Directory
        private(set) var offered: SharedSession?
        private(set) var entered: SharedSession?
        private(set) var listens: Bool?
        private(set) var user: (any SharedSessionUser)?
        /// Whether each retirement was of a broken session.
        private(set) var retirements: [Bool] = []
        private(set) var hasLeft = false

        init(_ directory: Directory) { self.directory = directory }

        func findSession() async -> SharedSession? { directory.there }

        func offerSession(_ session: SharedSession) async -> SharedSession? {
            offered = session
            return directory.isUnreachable ? nil : directory.faster ?? session
        }

        func enterPlace(_ user: any SharedSessionUser, _ session: SharedSession, listens: Bool) {
            (self.user, entered, self.listens) = (user, session, listens)
        }

        func retirePlace(isBroken: Bool) { retirements.append(isBroken) }

        func leavePlace() async -> Bool {
            hasLeft = true
            return directory.isLast
        }
    }

    private static func bench(on loop: Loop) -> (PoolBench, Directory) {
        let bench = PoolBench(on: loop)
        let directory = Directory()
        bench.pool.directory = directory
        return (bench, directory)
    }

    /// What another replica says of its session with the server.
    private static func other(_ bench: PoolBench, id: String = "other", at server: [UInt8]? = nil) -> SharedSession {
        let handshake = #"{"protocolVersion":"2025-11-25","capabilities":{"tools":{}},"serverInfo":{"name":"fake"}}"#
        return SharedSession(
            server: server ?? bench.server.name, target: Array("/mcp".utf8), id: Array(id.utf8), cookies: [],
            revision: .v2025_11_25, handshake: Array(handshake.utf8), hasStream: true)
    }

    @Test func whatIsOpenedIsOffered() async throws {
        try await withLoop { loop in
            let (bench, directory) = Self.bench(on: loop)
            let call = try await bench.lease()
            let place = try #require(directory.place)
            #expect(place.offered?.id == Array("copy0-1".utf8) && place.offered == place.entered)
            #expect(place.offered?.hasStream == true && place.listens == true)
            #expect(place.user === call.lease?.session && call.lease?.session.wasJoined == false)
            // A call whose session is there asks nobody.
            _ = try await bench.lease()
            #expect(directory.places.count == 1)
            bench.checkNoMistakes()
        }
    }

    @Test func whatOthersHaveIsJoined() async throws {
        try await withLoop { loop in
            let (bench, directory) = Self.bench(on: loop)
            directory.there = Self.other(bench)
            let session = try #require(try await bench.lease().lease?.session)
            #expect(bench.server.openings.isEmpty && session.wasJoined && session.sessionID == Array("other".utf8))
            #expect(session.handshake.offers(.tools) && directory.place?.listens == false)
            // It is heard by way of the one that listens.
            #expect(await session.hasPushChannel() && bench.server.joined.first?.listens == false)
            directory.place?.user?.listenToStream(true)
            #expect(bench.server.joined.first?.listens == true)
            directory.place?.user?.listenToStream(false)
            #expect(bench.server.joined.first?.listens == false)
            bench.checkNoMistakes()
        }
    }

    @Test func theSlowerOneEndsItsOwn() async throws {
        try await withLoop { loop in
            let (bench, directory) = Self.bench(on: loop)
            directory.faster = Self.other(bench)
            let session = try #require(try await bench.lease().lease?.session)
            #expect(session.sessionID == Array("other".utf8) && bench.server.openings.count == 1)
            try await bench.until("its own has ended") { bench.server.transports.first?.ends == 1 }
            #expect(directory.place?.hasLeft == false)
        }
    }

    @Test func whereOthersCannotBeAskedItHasItsOwn() async throws {
        try await withLoop { loop in
            let (bench, directory) = Self.bench(on: loop)
            directory.isUnreachable = true
            let session = try #require(try await bench.lease().lease?.session)
            #expect(!session.wasJoined && directory.place?.user === session)
        }
    }

    @Test func aSessionAtAnUnknownCopyIsLeftToOthers() async throws {
        try await withLoop { loop in
            let (bench, directory) = Self.bench(on: loop)
            directory.there = Self.other(bench, at: Array("elsewhere".utf8))
            let session = try #require(try await bench.lease().lease?.session)
            #expect(!session.wasJoined && session.place == nil)
            #expect(directory.place?.retirements == [false] && directory.place?.offered == nil)
        }
    }

    @Test(arguments: [false, true]) func onlyTheLastOneEndsIt(isLast: Bool) async throws {
        try await withLoop { loop in
            let (bench, directory) = Self.bench(on: loop)
            directory.isLast = isLast
            bench.release(try await bench.lease())
            await bench.pool.closeAll(until: loop.now + .seconds(5))
            let transport = try #require(bench.server.transports.first)
            #expect(directory.hasStopped && directory.place?.hasLeft == true)
            #expect(transport.ends == (isLast ? 1 : 0) && transport.drops == (isLast ? 0 : 1))
        }
    }

    @Test func aLostOneIsBrokenForAll() async throws {
        try await withLoop { loop in
            let (bench, directory) = Self.bench(on: loop)
            let call = try await bench.lease()
            let lost = try #require(call.lease)
            bench.pool.retireSession(lost)
            bench.release(call)
            #expect(directory.place?.retirements == [true] && directory.place?.hasLeft == false)
            _ = try await bench.lease(after: lost.session)
            #expect(directory.places.count == 2 && bench.server.openings.count == 2)
            bench.checkNoMistakes()
        }
    }

    @Test func oneThatWasReplacedServesItsCallsToTheEnd() async throws {
        try await withLoop { loop in
            let (bench, directory) = Self.bench(on: loop)
            let call = try await bench.lease()
            let first = try #require(directory.place)
            directory.there = Self.other(bench)
            first.user?.sessionWasReplaced()
            #expect(first.retirements == [false] && bench.pool.counts.lossCount(.replaced) == 1)
            let next = try #require(try await bench.lease().lease?.session)
            #expect(next.wasJoined && bench.server.transports.first?.drops == 0)
            bench.release(call)
            try await bench.until("it is left") { first.hasLeft && bench.server.transports.first?.drops == 1 }
            bench.checkNoMistakes()
        }
    }

    @Test func aClientThatCanBeAskedSharesNothing() async throws {
        try await withLoop { loop in
            let (bench, directory) = Self.bench(on: loop)
            let key = PoolBench.key(1, #"{"elicitation":{}}"#)
            let lease = try await bench.pool.leaseSession(key, credentials: .none)
            #expect(directory.places.isEmpty && lease.session.place == nil)
            // Its roots are answered for it, by any replica.
            let rooted = SessionKey(
                principal: PoolBench.principal(1), capabilities: Array(#"{"roots":{}}"#.utf8),
                roots: Array(#"{"roots":[]}"#.utf8))
            _ = try await bench.pool.leaseSession(rooted, credentials: .none)
            #expect(directory.places.count == 1)
        }
    }
}
