import Crypto
import TestSupport
import Testing

@testable import Reactor

/// What holds for two ends of a connection, whatever is between their bytes and the wire.
@Suite(.timeLimit(.minutes(1)), .serialized) struct SocketPairTests {
    enum Kind: CaseIterable {
        case plain, secure

        var listener: ListenerTLS? { get throws { self == .secure ? try TestTLS.listener() : nil } }
        var client: TLSClient? { get throws { self == .secure ? try TestTLS.client() : nil } }
    }

    /// Bytes whose place can be told, made fast.
    private static func text(_ count: Int) -> [UInt8] {
        let block = (0..<65_521).map { UInt8(truncatingIfNeeded: $0 &* 31 >> 3) }
        var text: [UInt8] = []
        text.reserveCapacity(count + block.count)
        while text.count < count { text += block }
        return Array(text.prefix(count))
    }

    @Test(arguments: Kind.allCases) func whatIsWrittenArrives(_ kind: Kind) async throws {
        try await withLoop { loop in
            let host = try Host(on: loop, tls: kind.listener)
            let (here, there) = try await host.pair(tls: kind.client)
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

    /// More than the kernel takes, while the other side does not read.
    @Test(arguments: Kind.allCases) func aLargeWriteWaitsForItsReader(_ kind: Kind) async throws {
        try await withLoop { loop in
            let host = try Host(on: loop, tls: kind.listener)
            let (here, there) = try await host.pair(tls: kind.client)
            there.socket.pauseReading()
            let payload = Self.text(16_000_000)
            here.socket.write(payload)
            here.socket.write([payload[..<1000], payload[1000..<3000], [], payload[..<40_000]])
            #expect(here.socket.unsentBytes > 1_000_000)
            // What is encrypted ahead stays small.
            #expect((here.socket.tls?.unsentBytes ?? 0) < 80_000)
            #expect(here.drains == 0)
            there.socket.resumeReading()
            try await there.until("everything") { $0.bytes.count == payload.count + 43_000 }
            try await here.until("drained") { $0.drains == 1 }
            #expect(here.socket.unsentBytes == 0)
            let isEqual = there.bytes == payload + payload[..<3000] + payload[..<40_000]
            #expect(isEqual)
        }
    }

    @Test(arguments: Kind.allCases) func manySmallPartsArriveInOrder(_ kind: Kind) async throws {
        try await withLoop { loop in
            let host = try Host(on: loop, tls: kind.listener)
            let (here, there) = try await host.pair(tls: kind.client)
            there.socket.pauseReading()
            let whole = Self.text(6_000_000)
            // First more than the kernel takes, so that the parts queue.
            here.socket.write(Array(whole[..<5_000_000]))
            for start in stride(from: 5_000_000, to: whole.count, by: 500) {
                here.socket.write([whole[start..<start + 250], whole[start + 250..<start + 500]])
            }
            there.socket.resumeReading()
            try await there.until("everything") { $0.bytes.count == whole.count }
            let isEqual = there.bytes == whole
            #expect(isEqual)
        }
    }

    @Test(arguments: Kind.allCases) func whatArrivesDuringAPauseIsReadAfterIt(_ kind: Kind) async throws {
        try await withLoop { loop in
            let host = try Host(on: loop, tls: kind.listener)
            let (here, there) = try await host.pair(tls: kind.client)
            there.socket.pauseReading()
            here.write("first")
            here.socket.shutdownWriting()
            await pause(.milliseconds(20), on: loop)
            #expect(there.bytes.isEmpty && !there.hasEnded)
            there.socket.resumeReading()
            try await there.until("the end") { $0.hasEnded }
            #expect(there.text == "first" && there.error == nil)
        }
    }

    @Test(arguments: Kind.allCases) func aPauseFromInsideTheCallbackHoldsAtOnce(_ kind: Kind) async throws {
        try await withLoop { loop in
            let host = try Host(on: loop, tls: kind.listener)
            let (here, there) = try await host.pair(tls: kind.client)
            var calls = 0
            there.onReceive = { peer, _ in
                calls += 1
                peer.socket.pauseReading()
            }
            // More than one receive can take.
            here.socket.write(Self.text(300_000))
            try await there.until("the first part") { !$0.bytes.isEmpty }
            await pause(.milliseconds(20), on: loop)
            #expect(calls == 1)
            there.onReceive = nil
            there.socket.resumeReading()
            try await there.until("the rest") { $0.bytes.count == 300_000 }
            #expect(there.bytes == Self.text(300_000))
        }
    }

    @Test(arguments: Kind.allCases) func eitherSideMayEndItsHalfFirst(_ kind: Kind) async throws {
        try await withLoop { loop in
            let host = try Host(on: loop, tls: kind.listener)
            let (here, there) = try await host.pair(tls: kind.client)
            here.write("question")
            here.socket.shutdownWriting()
            try await there.until("the end") { $0.hasEnded }
            #expect(there.text == "question" && there.error == nil && there.socket.isOpen)
            there.write("answer")
            try await here.until("the answer") { $0.text == "answer" }
            #expect(!here.hasEnded)
            there.socket.close()
            try await here.until("the end") { $0.hasEnded }
            #expect(here.error == nil)
        }
    }

    @Test(arguments: Kind.allCases) func aSocketThatIsClosedInItsCallbackTellsNothingMore(_ kind: Kind) async throws {
        try await withLoop { loop in
            let host = try Host(on: loop, tls: kind.listener)
            let (here, there) = try await host.pair(tls: kind.client)
            there.onReceive = { peer, _ in peer.socket.close() }
            here.socket.write(Self.text(500_000))
            try await there.until("the first part") { !$0.bytes.isEmpty }
            let count = there.bytes.count
            try await here.until("the end") { $0.hasEnded }
            #expect(there.bytes.count == count && !there.hasEnded && there.drains == 0)
        }
    }

    /// A reader that pauses in the middle of what came with one receive.
    @Test(arguments: Kind.allCases) func aPauseLosesNothing(_ kind: Kind) async throws {
        try await withLoop { loop in
            let host = try Host(on: loop, tls: kind.listener)
            let (here, there) = try await host.pair(tls: kind.client)
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
}
