import Crypto
import JSONText
import MCP
import Reactor
import TestSupport
import Testing
import Translation

@testable import Legacy

/// What a channel makes of what comes on it, whatever carries that.
@Suite struct ChannelTests {
    /// A handshake on a channel, and what becomes of it.
    private final class Attempt {
        let channel: FakeChannel
        let abandonment = Abandonment()
        var handshake: Handshake?
        var error: BackendError?

        init(_ bench: PoolBench, patience: Duration = .seconds(30)) {
            channel = FakeChannel(to: bench.server, changed: Wakeup())
            let introduction = Introduction(
                offering: .newestLegacy, capabilities: Array("{}".utf8), ids: RequestIDs(from: 1),
                until: .now + patience, unless: abandonment)
            bench.loop.spawn { [self] in
                do throws(BackendError) {
                    handshake = try await channel.openSession(introduction, credentials: .none)
                } catch {
                    self.error = error
                }
            }
        }
    }

    private static func result(_ id: Int, _ revision: String = "2025-11-25") -> String {
        #"{"jsonrpc":"2.0","id":\#(id),"result":{"protocolVersion":"\#(revision)","capabilities":{}}}"#
    }

    /// A session on a channel.
    private func session(
        _ bench: PoolBench, _ revision: String = "2025-11-25"
    ) async throws -> (LegacySession, FakeChannel) {
        let attempt = Attempt(bench)
        try await bench.until("initialize") { attempt.channel.sent.count == 1 }
        attempt.channel.say(Self.result(1, revision))
        try await bench.until("a handshake") { attempt.handshake != nil }
        let model = try await LegacySession.openSession(
            on: bench.server, capabilities: Array("{}".utf8), roots: [], credentials: .none,
            sending: SendingBudget(100).callerShare(of: .none), unless: Abandonment())
        let session = model.adoptSession(over: attempt.channel, to: bench.server, .none)
        attempt.channel.listenForMessages(for: session, credentials: .none)
        return (session, attempt.channel)
    }

    private func call(_ session: LegacySession, until end: Instant = .now + .seconds(60)) -> LegacyCall {
        session.beginCall(
            { Array(#"{"jsonrpc":"2.0","id":\#($0),"method":"tools/call"}"#.utf8) }, credentials: .none, until: end)
    }

    // MARK: Handshake

    @Test func theNextRevisionIsOfferedOnTheSameChannel() async throws {
        try await withLoop { loop in
            let bench = PoolBench(on: loop)
            let attempt = Attempt(bench)
            try await bench.until("initialize") { attempt.channel.sent.count == 1 }
            attempt.channel.say(#"{"jsonrpc":"2.0","id":"p","method":"ping"}"#)
            attempt.channel.say(#"{"jsonrpc":"2.0","id":1,"error":{"code":-32602,"message":"only 2024-11-05"}}"#)
            try await bench.until("initialize") { attempt.channel.sent.count == 3 }
            #expect(attempt.channel.sent[1] == #"{"jsonrpc":"2.0","id":"p","result":{}}"#)
            #expect(attempt.channel.sent[2].contains("2024-11-05"))
            attempt.channel.say(Self.result(1))
            attempt.channel.say(Self.result(2, "2024-11-05"))
            try await bench.until("a handshake") { attempt.handshake?.revision == .v2024_11_05 }
            #expect(attempt.channel.isSequential)
        }
    }

    @Test func aServerThatIsSilentEndsTheChannel() async throws {
        try await withLoop { loop in
            let bench = PoolBench(on: loop)
            let attempt = Attempt(bench, patience: .milliseconds(50))
            try await bench.until("initialize") { attempt.channel.sent.count == 1 }
            attempt.channel.say("a banner")
            try await bench.until("an error") { attempt.error != nil }
            #expect(attempt.error?.kind == .silent && attempt.error?.detail.contains("is no JSON") == true)
            #expect(attempt.channel.isTornDown)
        }
    }

    @Test func anOpeningThatIsNotWantedEnds() async throws {
        try await withLoop { loop in
            let bench = PoolBench(on: loop)
            let attempt = Attempt(bench)
            try await bench.until("initialize") { attempt.channel.sent.count == 1 }
            attempt.abandonment.abandonOpening()
            try await bench.until("an error") { attempt.error?.kind == .cancelled }
            #expect(attempt.channel.isTornDown)
        }
    }

    // MARK: Calls

    @Test func anAnswerIsKnownByItsId() async throws {
        try await withLoop { loop in
            let bench = PoolBench(on: loop)
            let (session, channel) = try await session(bench)
            let (first, second) = (call(session), call(session))
            channel.say(#"{"jsonrpc":"2.0","id":\#(second.id),"result":{"n":2}}"#)
            let answer = try await second.waitForResponse()
            #expect(String(decoding: answer.document.bytes, as: UTF8.self).contains(#""n":2"#) && !first.isOver)
            first.failCall(with: .clientLeft)
        }
    }

    @Test func aRequestThatComesBackIsNoQuestion() async throws {
        try await withLoop { loop in
            let bench = PoolBench(on: loop)
            let (session, channel) = try await session(bench)
            let call = call(session)
            let sent = channel.sent.count
            channel.say(channel.sent[sent - 1])
            await bench.settle()
            #expect(channel.sent.count == sent && !call.isOver)
            call.failCall(with: .clientLeft)
        }
    }

    @Test func theEndOfTheChannelEndsItsCallsAndItsSession() async throws {
        try await withLoop { loop in
            let bench = PoolBench(on: loop)
            let (session, channel) = try await session(bench)
            let delegate = RecordingDelegate(of: session)
            let (answered, open) = (call(session), call(session))
            // What came before the end is still good.
            channel.say(#"{"jsonrpc":"2.0","id":\#(answered.id),"result":{}}"#)
            channel.failCalls(BackendError(.unavailable, "ended"))
            #expect(answered.isOver && delegate.losses == 1 && channel.isTornDown)
            _ = try await answered.waitForResponse()
            for call in [open, call(session)] {
                do throws(BackendError) {
                    _ = try await call.waitForResponse()
                    Issue.record("an answer")
                } catch {
                    #expect(error.kind == (call === open ? .noAnswer : .sessionLost))
                }
            }
        }
    }

    @Test func aServerThatSaysMoreThanIsReadHasToWait() async throws {
        try await withLoop { loop in
            let bench = PoolBench(on: loop)
            let (session, channel) = try await session(bench)
            let data = String(repeating: "x", count: 1000)
            let text = #"{"jsonrpc":"2.0","method":"notifications/message","params":{"data":"\#(data)"}}"#
            for _ in 0..<200 { channel.say(text) }
            #expect(channel.isPaused)
            try await bench.until("it may go on") { !channel.isPaused }
            #expect(!session.isClosed)
        }
    }
}
