import Crypto
import TestSupport
import Testing

@testable import Reactor

@Suite(.timeLimit(.minutes(1)), .serialized) struct TLSSocketTests {
    private static let certificates = try? TestCertificates()

    private static func bytes(_ name: String) throws -> [UInt8] { try #require(certificates).bytes(name) }

    private static func context() throws -> TLSContext {
        try .server(
            TLSContext.Identity(certificate: bytes("server.pem"), key: bytes("server.key")), clientCA: nil)
    }

    private static func client(name: TLSServerName = .address("127.0.0.1")) throws -> TLSClient {
        TLSClient(ServerTLS(try .client(authorities: bytes("ca.pem"), nil), name: name))
    }

    /// Bytes whose place can be told, made fast.
    private static func text(_ count: Int) -> [UInt8] {
        let block = (0..<65_521).map { UInt8(truncatingIfNeeded: $0 &* 31 >> 3) }
        var text: [UInt8] = []
        text.reserveCapacity(count + block.count)
        while text.count < count { text += block }
        return Array(text.prefix(count))
    }

    /// A listener that speaks TLS, and what comes of its handshakes.
    private final class SecureHost {
        let listener: Listener
        private(set) var peers: [Peer] = []
        let loop: Loop
        let changed = Gate()

        init(
            on loop: Loop, timeout: Duration = .seconds(5), onRefusal: @escaping @Sendable (TLSError) -> Void = { _ in }
        )
            throws
        {
            self.loop = loop
            let any = try #require(SocketAddress(host: "127.0.0.1", port: 0))
            listener = try Listener(on: loop, address: any, maxConnections: 100, shared: false)
            listener.tls = ListenerTLS(try TLSSocketTests.context(), timeout: timeout) { onRefusal($1) }
            listener.start { [unowned self] socket in
                peers.append(Peer(socket, on: loop))
                changed.open()
            }
        }

        /// Both ends of a new connection.
        func pair() async throws -> (here: Peer, there: Peer) {
            let count = peers.count
            let socket = try await Socket.connect(
                to: listener.address, on: loop, timeout: .seconds(5), tls: try TLSSocketTests.client())
            try await eventually("a handshake", on: loop, changed) { self.peers.count > count }
            return (Peer(socket, on: loop), peers[count])
        }
    }

    private final class Reasons: @unchecked Sendable {
        // One loop only touches it.
        var all: [TLSError] = []
    }

    @Test func whatIsWrittenArrives() async throws {
        try await withLoop { loop in
            let host = try SecureHost(on: loop)
            let (here, there) = try await host.pair()
            there.onReceive = { $0.socket.write($1) }
            for text in ["a", "", "hello", String(repeating: "x", count: 70_000)] {
                here.write(text)
                try await here.until("echo") { $0.bytes.count == text.utf8.count }
                #expect(here.text == text)
                here.clear()
            }
            here.socket.write([Array("one, ".utf8)[...], [], Array("two".utf8)[...]])
            try await here.until("echo") { $0.text == "one, two" }
            #expect(here.socket.isQuiet)
        }
    }

    /// Far more than the kernel takes, while the other side does not read: what is encrypted ahead stays small.
    @Test func aLargeWriteWaitsForItsReader() async throws {
        try await withLoop { loop in
            let host = try SecureHost(on: loop)
            let (here, there) = try await host.pair()
            there.socket.pauseReading()
            let payload = Self.text(16_000_000)
            here.socket.write(payload)
            here.socket.write([payload[..<1000], payload[1000..<3000], [], payload[..<40_000]])
            #expect(here.socket.unsentBytes > 1_000_000)
            #expect((here.socket.tls?.unsentBytes ?? 0) < 80_000)
            there.socket.resumeReading()
            try await there.until("everything") { $0.bytes.count == payload.count + 43_000 }
            try await here.until("drained") { $0.drains == 1 }
            #expect(here.socket.unsentBytes == 0)
            let isEqual = there.bytes == payload + payload[..<3000] + payload[..<40_000]
            #expect(isEqual)
        }
    }

    /// A reader that pauses in the middle of what came with one receive.
    @Test func aPauseLosesNothing() async throws {
        try await withLoop { loop in
            let host = try SecureHost(on: loop)
            let (here, there) = try await host.pair()
            let payload = Self.text(300_000)
            there.onReceive = { peer, _ in
                peer.socket.pauseReading()
                loop.spawn {
                    await pause(.milliseconds(1), on: loop)
                    peer.socket.resumeReading()
                }
            }
            here.socket.write(payload)
            here.socket.shutdownWriting()
            try await there.until("the end") { $0.hasEnded }
            let isEqual = there.bytes == payload
            #expect(isEqual && there.error == nil)
            // The other half stays open.
            there.write("answer")
            try await here.until("answer") { $0.text == "answer" }
        }
    }

    @Test func anEndThatIsNotMeantIsAnError() async throws {
        try await withLoop { loop in
            let host = try SecureHost(on: loop)
            for isMeant in [true, false] {
                let (here, there) = try await host.pair()
                here.write("hello")
                try await there.until("hello") { $0.text == "hello" }
                if isMeant { here.socket.close() } else { here.socket.abort() }
                try await there.until("the end") { $0.hasEnded }
                #expect(there.error?.reason == (isMeant ? nil : TLSError.truncated.reason))
            }
        }
    }

    @Test func aHandshakeHasItsTime() async throws {
        try await withLoop { loop in
            let reasons = Reasons()
            let host = try SecureHost(on: loop, timeout: .milliseconds(50)) { reasons.all.append($0) }
            let slow = try await Peer.connect(to: host.listener.address, on: loop)
            try await slow.until("the end") { $0.hasEnded }
            #expect(reasons.all == [.late])
            let plain = try await Peer.connect(to: host.listener.address, on: loop)
            plain.write("GET / HTTP/1.1\r\n\r\n")
            try await plain.until("the end") { $0.hasEnded }
            #expect(reasons.all.last?.reason == "plain HTTP came where TLS is spoken")
            let left = try await Peer.connect(to: host.listener.address, on: loop)
            left.socket.close()
            try await eventually("a third", on: loop, host.changed, within: .seconds(5)) {
                if reasons.all.count < 3 {
                    loop.spawn {
                        await pause(.milliseconds(5), on: loop)
                        host.changed.open()
                    }
                }
                return reasons.all.count == 3
            }
            #expect(reasons.all.last == .silent && host.peers.isEmpty)
        }
    }

    /// A client whose handshake has begun does not notice that its listener takes nobody else.
    @Test func handshakesUnderWayAreFinished() async throws {
        try await withLoop { loop in
            let host = try SecureHost(on: loop)
            let half = try await Socket.connect(to: host.listener.address, on: loop, timeout: .seconds(5))
            await pause(.milliseconds(20), on: loop)
            var isFinished = false
            host.listener.onFinished = {
                isFinished = true
                host.changed.open()
            }
            host.listener.finish()
            await pause(.milliseconds(150), on: loop)
            #expect(!isFinished)
            try await half.secure(as: try Self.client(), until: .now + .seconds(5))
            try await eventually("the end", on: loop, host.changed) { isFinished }
            #expect(host.peers.count == 1)
            half.close()
        }
    }

    @Test func aServerThatIsNotTheOneIsNotTalkedTo() async throws {
        try await withLoop { loop in
            let host = try SecureHost(on: loop)
            for (name, reason) in [
                (TLSServerName.name("example.com"), "hostname mismatch"),
                (.address("127.0.0.2"), "IP address mismatch"),
            ] {
                let client = try Self.client(name: name)
                let error = await #expect(throws: SystemError.self) {
                    _ = try await Socket.connect(
                        to: host.listener.address, on: loop, timeout: .seconds(5), tls: client)
                }
                #expect(error?.description == "TLS: the server's certificate was refused: \(reason)")
                #expect(error?.isRefusal == true)
            }
        }
    }
}
