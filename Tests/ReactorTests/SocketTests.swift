import Foundation
import TestSupport
import Testing

@testable import Reactor

@Suite(.timeLimit(.minutes(1)), .serialized) struct SocketTests {
    /// It sends faster than it is read, and timers are told all the same.
    @Test func aPeerWithoutEndDoesNotKeepTheLoop() async throws {
        let total = 16 << 20
        let senders = Loop()
        senders.runOnNewThread()
        try await withLoop { loop in
            let host = try Host(on: loop) { peer in
                peer.socket.pauseReading()
                // Slower than any kernel copies.
                peer.onReceive = { _, _ in usleep(4000) }
            }
            let address = host.address
            senders.post {
                let peer = try? await Peer.connect(to: address, on: senders)
                peer?.socket.write([UInt8](repeating: 7, count: total))
                try? await peer?.until("the end") { $0.hasEnded }
                senders.stopLoop()
            }
            try await host.untilAccepted(1)
            let there = host.peers[0]
            await pause(.milliseconds(50), on: loop)
            there.socket.resumeReading()
            await pause(.milliseconds(20), on: loop)
            #expect(there.bytes.count < total, "the timer was told when nothing came any more")
            there.socket.close()
        }
        senders.joinThread()
    }

    /// Its bytes take long to work on: others are read after one receive of it, and not after four.
    @Test func aPeerWhoseBytesTakeLongDoesNotKeepOthersWaiting() async throws {
        let senders = Loop()
        senders.runOnNewThread()
        try await withLoop { loop in
            var order: [String] = []
            let read = Wakeup()
            var accepted = 0
            let host = try Host(on: loop) { peer in
                accepted += 1
                let isSlow = accepted == 1
                peer.socket.pauseReading()
                peer.onReceive = { _, _ in
                    order.append(isSlow ? "slow" : "other")
                    if isSlow { usleep(4000) }
                    read.signal()
                }
            }
            let address = host.address
            senders.post {
                var peers: [Peer] = []
                for _ in 1...2 {
                    guard let peer = try? await Peer.connect(to: address, on: senders) else { break }
                    peer.socket.write([UInt8](repeating: 7, count: 1 << 20))
                    peers.append(peer)
                }
                for peer in peers { try? await peer.until("the end") { $0.hasEnded } }
                senders.stopLoop()
            }
            try await host.untilAccepted(2)
            await pause(.milliseconds(50), on: loop)
            for peer in host.peers { peer.socket.resumeReading() }
            try await eventually("bytes of the other", on: loop, read) { order.contains("other") }
            #expect(order.prefix { $0 == "slow" }.count <= 1)
            for peer in host.peers { peer.socket.close() }
        }
        senders.joinThread()
    }

    /// A reader that takes long over what it gets is lent less at once, and all of it in the end.
    @Test func whoTakesLongIsLentLess() async throws {
        try await withLoop { loop in
            let host = try Host(on: loop)
            let (here, there) = try await host.pair()
            var counts: [Int] = []
            there.onReceive = { _, bytes in
                counts.append(bytes.count)
                if bytes.count >= ReadSize.least { usleep(300) }
            }
            there.socket.pauseReading()
            let payload = (0..<1_000_000).map { UInt8(truncatingIfNeeded: $0 &* 31 >> 3) }
            here.socket.write(payload)
            await pause(.milliseconds(20), on: loop)
            there.socket.resumeReading()
            try await there.until("everything") { $0.bytes.count == payload.count }
            let isEqual = there.bytes == payload
            #expect(isEqual)
            #expect(counts.first == Loop.receiveBufferSize)
            #expect((counts.dropFirst(20).max() ?? .max) <= ReadSize.least)
        }
    }

    @Test func aResetIsAnError() async throws {
        try await withLoop { loop in
            let host = try Host(on: loop)
            let (here, there) = try await host.pair()
            // Unread bytes make the kernel answer the close with a reset.
            there.socket.pauseReading()
            here.write("unread")
            await pause(.milliseconds(20), on: loop)
            there.socket.close()
            try await here.until("the end") { $0.hasEnded }
            #expect(here.error?.code == ECONNRESET)
            // Writing on a broken connection is told by the end alone.
            here.write("more")
            #expect(here.socket.isOpen)
            here.socket.close()
            here.write("even more")
            #expect(!here.socket.isOpen)
        }
    }

    // MARK: Connecting

    @Test func nobodyListens() async throws {
        try await withLoop { loop in
            let host = try Host(on: loop)
            let address = host.address
            host.listener.closeListener()
            await #expect {
                _ = try await Socket.connectSocket(to: address, on: loop, timeout: .seconds(5))
            } throws: { ($0 as? SystemError)?.code == ECONNREFUSED }
        }
    }

    /// A listener whose backlog is full lets connections wait.
    @Test func nobodyAnswers() async throws {
        try await withLoop { loop in
            let silent = try Self.silentListener()
            defer { close(silent.fd) }
            var sockets: [Socket] = []
            let start = Instant.now
            let failure = await #expect(throws: SystemError.self) {
                for _ in 0..<8 {
                    sockets.append(
                        try await Socket.connectSocket(to: silent.address, on: loop, timeout: .milliseconds(100)))
                }
            }
            #expect(failure?.code == SystemError.timedOut)
            #expect(.now - start >= .milliseconds(100))
        }
    }

    private static func silentListener() throws -> (fd: Int32, address: SocketAddress) {
        let fd = socket(AF_INET, streamSocket, 0)
        let any = try #require(SocketAddress(host: "127.0.0.1", port: 0))
        try #require(any.withSockaddr { bind(fd, $0, $1) } == 0 && listen(fd, 0) == 0)
        return (fd, try #require(SocketAddress(boundTo: fd)))
    }

    // MARK: Listening

    @Test func anAddressInUseIsToldAsSuch() async throws {
        try await withLoop { loop in
            let host = try Host(on: loop)
            #expect {
                try Listener(on: loop, address: host.address, maxConnections: 1, shared: false)
            } throws: { ($0 as? SystemError)?.isAddressInUse == true }
            #expect(host.address.port != 0)
        }
    }

    @Test func beyondTheLimitConnectionsWait() async throws {
        try await withLoop { loop in
            let host = try Host(on: loop, maxConnections: 2)
            var clients: [Peer] = []
            for number in 0..<5 {
                let client = try await Peer.connect(to: host.address, on: loop)
                client.write("\(number)")
                clients.append(client)
            }
            try await host.untilAccepted(2)
            await pause(.milliseconds(20), on: loop)
            #expect(host.peers.count == 2)
            var seen: [String] = []
            while seen.count < 5 {
                try await host.untilAccepted(1)
                let peer = host.peers[0]
                try await peer.until("its number") { !$0.bytes.isEmpty }
                seen.append(peer.text)
                #expect(host.peers.count <= 2)
                host.close(peer)
            }
            #expect(seen == ["0", "1", "2", "3", "4"])
        }
    }

    // MARK: Descriptors

    /// Descriptors are used again at once: what happens on one must never reach the connection that had it before.
    @Test func quickConnectionsAreNeverMistakenForOthers() async throws {
        let before = Self.openDescriptors()
        try await withLoop { loop in
            let host = try Host(on: loop) { peer in peer.onReceive = { $0.socket.write($1) } }
            var lasting: [(here: Peer, there: Peer)] = []
            for _ in 0..<10 { lasting.append(try await host.pair()) }
            let duringLasting = Self.openDescriptors()
            for round in 0..<2000 {
                let (here, there) = try await host.pair()
                let text = "round \(round);"
                here.write(text)
                if round % 3 != 0 {
                    try await here.until("its own echo") { $0.bytes.count >= text.utf8.count }
                    #expect(here.text == text)
                }
                if round % 2 == 0 {
                    here.socket.close()
                    host.close(there)
                } else {
                    host.close(there)
                    here.socket.close()
                }
                if round % 100 == 0 {
                    let peer = lasting[round / 100 % lasting.count].here
                    peer.clear()
                    peer.write("still here \(round)")
                    try await peer.until("an echo") { $0.text == "still here \(round)" }
                }
            }
            #expect(lasting.allSatisfy { !$0.here.hasEnded && !$0.there.hasEnded })
            #expect(Self.openDescriptors() <= duringLasting + Self.elsewhere)
            for (here, there) in lasting {
                here.socket.close()
                host.close(there)
            }
        }
        #expect(Self.openDescriptors() <= before + Self.elsewhere, "a descriptor was left open")
    }

    /// Descriptors that tests beside this one may open meanwhile; a leak here would be of thousands.
    private static let elsewhere = 1000

    private static func openDescriptors() -> Int {
        (try? FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd").count) ?? 0
    }
}
