import Crypto
import TestSupport
import Testing

@testable import Reactor

@Suite(.timeLimit(.minutes(1)), .serialized) struct TLSSocketTests {
    private final class Reasons: @unchecked Sendable {
        // One loop only touches it.
        var all: [TLSError] = []
    }

    @Test func anEndThatIsNotMeantIsAnError() async throws {
        try await withLoop { loop in
            let host = try Host(on: loop, tls: TestTLS.listener())
            for isMeant in [true, false] {
                let (here, there) = try await host.pair(tls: TestTLS.client())
                here.write("hello")
                try await there.until("hello") { $0.text == "hello" }
                if isMeant { here.socket.close() } else { here.socket.abortConnection() }
                try await there.until("the end") { $0.hasEnded }
                #expect(there.error?.reason == (isMeant ? nil : TLSError.truncated.reason))
            }
        }
    }

    @Test func aHandshakeHasItsTime() async throws {
        try await withLoop { loop in
            let reasons = Reasons()
            let host = try Host(
                on: loop, tls: TestTLS.listener(timeout: .milliseconds(50)) { reasons.all.append($0) })
            let slow = try await Peer.connect(to: host.address, on: loop)
            try await slow.until("the end") { $0.hasEnded }
            #expect(reasons.all == [.late])
            let plain = try await Peer.connect(to: host.address, on: loop)
            plain.write("GET / HTTP/1.1\r\n\r\n")
            try await plain.until("the end") { $0.hasEnded }
            #expect(reasons.all.last?.reason == "plain HTTP came where TLS is spoken")
            let left = try await Peer.connect(to: host.address, on: loop)
            left.socket.close()
            let changed = Wakeup()
            try await eventually("a third", on: loop, changed, within: .seconds(5)) {
                if reasons.all.count < 3 {
                    loop.spawn {
                        await pause(.milliseconds(5), on: loop)
                        changed.signal()
                    }
                }
                return reasons.all.count == 3
            }
            #expect(reasons.all.last == .silent && host.peers.isEmpty)
        }
    }

    /// A client whose handshake has begun does not notice that its listener takes no other.
    @Test func handshakesUnderWayAreFinished() async throws {
        try await withLoop { loop in
            let host = try Host(on: loop, tls: TestTLS.listener())
            let half = try await Socket.connectSocket(to: host.address, on: loop, timeout: .seconds(5))
            await pause(.milliseconds(20), on: loop)
            var isFinished = false
            let changed = Wakeup()
            host.listener.onFinished = {
                isFinished = true
                changed.signal()
            }
            host.listener.finishAccepting()
            await pause(.milliseconds(150), on: loop)
            #expect(!isFinished)
            try await half.secureConnection(as: try TestTLS.client(), until: .now + .seconds(5))
            try await eventually("the end", on: loop, changed) { isFinished }
            #expect(host.peers.count == 1)
            half.close()
        }
    }

    @Test func aServerThatIsNotTheOneIsNotTalkedTo() async throws {
        try await withLoop { loop in
            let host = try Host(on: loop, tls: TestTLS.listener())
            for (name, reason) in [
                (TLSServerName.name("example.com"), "hostname mismatch"),
                (.address("127.0.0.2"), "IP address mismatch"),
            ] {
                let client = try TestTLS.client(name: name)
                let error = await #expect(throws: SystemError.self) {
                    _ = try await Socket.connectSocket(
                        to: host.address, on: loop, timeout: .seconds(5), tls: client)
                }
                #expect(error?.description == "TLS: the server's certificate was refused: \(reason)")
                #expect(error?.isRefusal == true)
            }
        }
    }
}
