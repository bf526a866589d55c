import TestSupport
import Testing

@testable import Reactor

/// The end of a listener: no connection that was heard is lost.
@Suite(.timeLimit(.minutes(1)), .serialized) struct ListenerTests {
    private static func listener(on loop: Loop, maxConnections: Int = 100) throws -> Listener {
        guard let any = SocketAddress(host: "127.0.0.1", port: 0) else { preconditionFailure("no address") }
        return try Listener(on: loop, address: any, maxConnections: maxConnections, shared: false)
    }

    @Test func whoWaitsIsLetInAtTheEnd() async throws {
        try await withLoop { loop in
            let listener = try Self.listener(on: loop)
            // They are connected as far as they know, and were not accepted.
            var clients: [Peer] = []
            for _ in 0..<20 { clients.append(try await Peer.connect(to: listener.address, on: loop)) }
            var served: [Peer] = []
            let changed = Wakeup()
            listener.onFinished = { changed.signal() }
            listener.startAccepting { served.append(Peer($0, on: loop)) }
            listener.finishAccepting()
            try await eventually("the end", on: loop, changed) { listener.isClosed }
            #expect(served.count == 20)
            for peer in served { peer.socket.write(Array("hello".utf8)) }
            for client in clients { try await client.until("a word") { $0.text == "hello" } }
        }
    }

    @Test func whoComesLaterIsNotHeard() async throws {
        try await withLoop { loop in
            let listener = try Self.listener(on: loop)
            listener.startAccepting { _ in Issue.record("nobody was to be let in") }
            let changed = Wakeup()
            listener.onFinished = { changed.signal() }
            listener.finishAccepting()
            await #expect(throws: SystemError.self) {
                _ = try await Socket.connectSocket(to: listener.address, on: loop, timeout: .milliseconds(20))
            }
            try await eventually("the end", on: loop, changed) { listener.isClosed }
            // Refused at once: the address is closed.
            await #expect(throws: SystemError.self) {
                _ = try await Socket.connectSocket(to: listener.address, on: loop, timeout: .seconds(5))
            }
        }
    }

    @Test func atTheLimitTheyWaitForTheirTurn() async throws {
        try await withLoop { loop in
            let listener = try Self.listener(on: loop, maxConnections: 2)
            var clients: [Peer] = []
            for _ in 0..<5 { clients.append(try await Peer.connect(to: listener.address, on: loop)) }
            var served: [Peer] = []
            let changed = Wakeup()
            listener.onFinished = { changed.signal() }
            listener.startAccepting {
                served.append(Peer($0, on: loop))
                changed.signal()
            }
            listener.finishAccepting()
            try await eventually("the first", on: loop, changed) { served.count == 2 }
            await pause(.milliseconds(100), on: loop)
            #expect(served.count == 2 && !listener.isClosed)
            for count in 3...5 {
                listener.connectionClosed()
                try await eventually("the next", on: loop, changed) { served.count == count }
            }
            #expect(!listener.isClosed, "with its limit reached it cannot tell whether more are waiting")
            listener.connectionClosed()
            try await eventually("the end", on: loop, changed) { listener.isClosed }
            #expect(served.count == 5)
        }
    }

    @Test func theLimitCanBeRaised() async throws {
        try await withLoop { loop in
            let listener = try Self.listener(on: loop, maxConnections: 1)
            var clients: [Peer] = []
            for _ in 0..<3 { clients.append(try await Peer.connect(to: listener.address, on: loop)) }
            var served: [Peer] = []
            let changed = Wakeup()
            listener.startAccepting {
                served.append(Peer($0, on: loop))
                changed.signal()
            }
            try await eventually("the first", on: loop, changed) { served.count == 1 }
            await pause(.milliseconds(20), on: loop)
            #expect(served.count == 1)
            listener.maxConnections = 3
            try await eventually("the others", on: loop, changed) { served.count == 3 }
        }
    }
}
