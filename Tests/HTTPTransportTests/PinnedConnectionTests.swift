import HTTPWire
import Reactor
import TestSupport
import Testing

@testable import HTTPTransport

/// One connection for one after the other.
@Suite(.timeLimit(.minutes(1))) struct PinnedConnectionTests {
    /// What a test does with a pinned connection to a host.
    private static func with(_ body: @escaping @Sendable (Fixture) async throws -> Void) async throws {
        try await withLoop { loop in try await body(Fixture(on: loop)) }
    }

    /// A pin, the host that it leads to, and the requests that have asked for it.
    private final class Fixture {
        let loop: Loop
        let host: Host
        let pin: PinnedConnection
        /// In the order in which they got it; nil for who got none.
        private(set) var got: [(number: Int, connection: HTTPClientConnection?)] = []
        private(set) var ends = 0
        private(set) var rests = 0
        private let changed = Wakeup()

        init(on loop: Loop) throws {
            self.loop = loop
            host = try Host(on: loop)
            pin = PinnedConnection(on: loop)
            pin.onEnd = { [unowned self] in
                ends += 1
                changed.signal()
            }
            pin.onRest = { [unowned self] in
                rests += 1
                changed.signal()
            }
        }

        func take() async throws -> HTTPClientConnection? {
            let (loop, address) = (loop, host.address)
            return try await pin.takeTurn { () async throws(HTTPClientError) in
                try await HTTPClientConnection.connectServer(to: address, on: loop, timeout: .seconds(5))
            }
        }

        func ask(_ number: Int) {
            loop.spawn {
                let connection = try? await self.take()
                self.got.append((number, connection))
                self.changed.signal()
            }
        }

        func untilGot(_ count: Int) async throws {
            try await eventually("\(count) answers", on: loop, changed) { self.got.count >= count }
        }

        func untilRest() async throws {
            try await eventually("a rest", on: loop, changed) { self.rests > 0 }
        }
    }

    @Test func whoAsksFirstIsFirst() async throws {
        try await Self.with { it in
            #expect(it.pin.takeIdle() == nil)
            let connection = try #require(try await it.take())
            for number in 0..<3 { it.ask(number) }
            await pause(.milliseconds(20), on: it.loop)
            #expect(it.got.isEmpty && it.pin.takeIdle() == nil)
            for count in 1...3 {
                it.pin.giveBackConnection(connection)
                try await it.untilGot(count)
                await pause(.milliseconds(5), on: it.loop)
                #expect(it.got.count == count)
            }
            #expect(it.got.map(\.number) == [0, 1, 2] && it.got.allSatisfy { $0.connection === connection })
            it.pin.giveBackConnection(connection)
            #expect(it.pin.takeIdle() === connection)
            #expect(it.host.peers.count == 1 && it.ends == 0)
        }
    }

    @Test(arguments: ["under a request", "given back closed", "idle"])
    func whenItHasEndedThereIsNoOther(_ how: String) async throws {
        try await Self.with { it in
            let connection = try #require(try await it.take())
            try await it.host.untilAccepted(1)
            if how == "idle" {
                it.pin.giveBackConnection(connection)
                it.host.peers[0].socket.close()
                await pause(.milliseconds(20), on: it.loop)
                #expect(it.pin.takeIdle() == nil)
            } else {
                it.ask(0)
                it.ask(1)
                await pause(.milliseconds(5), on: it.loop)
                connection.closeConnection()
                if how == "under a request" { it.pin.loseConnection() } else { it.pin.giveBackConnection(connection) }
                try await it.untilGot(2)
                #expect(it.got.allSatisfy { $0.connection == nil })
            }
            #expect(try await it.take() == nil)
            #expect(it.pin.isOver && it.ends == 1 && it.host.peers.count == 1)
            it.pin.loseConnection()
            #expect(it.ends == 1, "told once")
        }
    }

    @Test func oneThatCannotBeMadeIsNotTriedAgain() async throws {
        try await Self.with { it in
            it.host.listener.closeListener()
            it.ask(0)
            it.ask(1)
            try await it.untilGot(2)
            #expect(it.got.allSatisfy { $0.connection == nil })
            #expect(it.pin.isOver && it.ends == 1)
        }
    }

    @Test func toCloseItIsNoLoss() async throws {
        try await Self.with { it in
            let connection = try #require(try await it.take())
            it.ask(0)
            await pause(.milliseconds(5), on: it.loop)
            it.pin.close()
            try await it.untilGot(1)
            #expect(it.got[0].connection == nil && it.ends == 0)
            #expect(connection.isReusable, "what is on it comes to its end")
            it.pin.giveBackConnection(connection)
            #expect(!connection.isReusable && it.ends == 0)
        }
    }

    /// Common servers close a connection that is idle for 5 s.
    @Test func itIsToBeUsedNowAndThen() async throws {
        try await Self.with { it in
            let connection = try #require(try await it.take())
            it.pin.giveBackConnection(connection)
            let start = Instant.now
            try await it.untilRest()
            #expect((.seconds(2) ... .seconds(5)).contains(Instant.now - start))
        }
    }
}
