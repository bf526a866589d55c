import Crypto
import MCP
import Reactor
import TestSupport
import Testing

@testable import Legacy

/// A session with a fake server, from its handshake to its end.
@Suite struct LegacySessionTests {
    /// A session and its transport.
    private func open(
        _ bench: PoolBench, _ capabilities: String = "{}", roots: String = "", sending: Int = 1000
    ) async throws -> (session: LegacySession, transport: FakeTransport) {
        let session = try await LegacySession.openSession(
            on: bench.server, capabilities: Array(capabilities.utf8), roots: Array(roots.utf8), credentials: .none,
            sending: SendingBudget(sending).callerShare(of: .none), unless: Abandonment())
        let transport = try #require(bench.server.transports.last)
        return (session, transport)
    }

    private func call(_ session: LegacySession) throws -> FakeCall {
        let call = session.beginCall(
            { Array(#"{"jsonrpc":"2.0","id":\#($0),"method":"tools/call"}"#.utf8) }, credentials: .none,
            until: .now + .seconds(60))
        return try #require(call as? FakeCall)
    }

    private static let asks = #"{"elicitation":{}}"#

    private static func question(_ id: Int, _ method: String = "elicitation/create") -> String {
        #"{"jsonrpc":"2.0","id":\#(id),"method":"\#(method)","params":{"message":"?","requestedSchema":{}}}"#
    }

    // MARK: Handshake

    @Test func theServerIsToldThatTheHandshakeIsOver() async throws {
        try await withLoop { loop in
            let bench = PoolBench(on: loop)
            let (session, transport) = try await open(bench)
            #expect(transport.notifications.count == 1)
            #expect(transport.notifications[0].contains("notifications/initialized"))
            #expect(transport.session === session && transport.calls.isEmpty)
        }
    }

    @Test func aServerThatTakesNothingGivesNoSession() async throws {
        try await withLoop { loop in
            let bench = PoolBench(on: loop)
            bench.server.prepare = { $0.takes = false }
            let session = try? await open(bench).session
            #expect(session == nil)
            #expect(bench.server.transports[0].drops == 1)
        }
    }

    @Test func theFirstQuestionsAreWaitedFor() async throws {
        try await withLoop { loop in
            let bench = PoolBench(on: loop)
            bench.server.prepare = { $0.sign = nil }
            var session: LegacySession?
            loop.spawn { session = try? await open(bench, Self.asks).session }
            try await bench.until("a ping") { bench.server.transports.first?.calls.count == 1 }
            let transport = bench.server.transports[0]
            #expect(session == nil)
            transport.say(Self.question(7))
            transport.calls[0].respond()
            try await bench.until("a session") { session != nil }
            let owner = FakeOwner()
            session?.setInteraction(for: owner)
            #expect(owner.questions.count == 1)
        }
    }

    // MARK: Questions

    @Test func aQuestionWaitsUntilItIsKnownWhoseTheSessionIs() async throws {
        try await withLoop { loop in
            let bench = PoolBench(on: loop)
            let (session, transport) = try await open(bench, Self.asks)
            transport.say(Self.question(7))
            await bench.settle()
            #expect(transport.notifications.count == 1)
            session.setInteraction(for: nil)
            try await bench.until("an answer") { transport.notifications.count == 2 }
            #expect(transport.notifications[1].contains(#""id":7"#))
            // From now on there is an answer at once.
            transport.say(Self.question(8))
            try await bench.until("an answer") { transport.notifications.count == 3 }
            #expect(transport.notifications[2].contains(#""id":8"#))
        }
    }

    @Test func noMoreQuestionsAreKeptThanAnyServerHas() async throws {
        try await withLoop { loop in
            let bench = PoolBench(on: loop)
            let (session, transport) = try await open(bench, Self.asks)
            let delegate = RecordingDelegate(of: session)
            for id in 0..<40 { transport.say(Self.question(id)) }
            #expect(delegate.unanswered == 40 - LegacySession.maxEarlyQuestions)
            let owner = FakeOwner()
            session.setInteraction(for: owner)
            #expect(owner.questions.count == LegacySession.maxEarlyQuestions)
        }
    }

    @Test func rootsAreAnsweredForTheClient() async throws {
        try await withLoop { loop in
            let bench = PoolBench(on: loop)
            let (session, transport) = try await open(bench, #"{"roots":{}}"#, roots: #"{"roots":[]}"#)
            transport.say(#"{"jsonrpc":"2.0","id":7,"method":"roots/list"}"#)
            transport.say(#"{"jsonrpc":"2.0","id":8,"method":"ping"}"#)
            try await bench.until("answers") { transport.notifications.count == 3 }
            #expect(transport.notifications[1] == #"{"jsonrpc":"2.0","id":7,"result":{"roots":[]}}"#)
            #expect(transport.notifications[2] == #"{"jsonrpc":"2.0","id":8,"result":{}}"#)
            #expect(!session.isClosed)
        }
    }

    @Test func progressIsToldToItsCall() async throws {
        try await withLoop { loop in
            let bench = PoolBench(on: loop)
            let (session, transport) = try await open(bench)
            let (first, second) = (try call(session), try call(session))
            transport.say(
                #"{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":\#(second.id),"#
                    + #""progress":1}}"#)
            #expect(!first.wasHeardOf && second.wasHeardOf)
            first.failCall(with: .clientLeft)
            second.failCall(with: .clientLeft)
        }
    }

    // MARK: Cancellation

    @Test func aCancellationIsSentAtOnce() async throws {
        try await withLoop { loop in
            let bench = PoolBench(on: loop)
            let (session, transport) = try await open(bench)
            let delegate = RecordingDelegate(of: session)
            let call = try call(session)
            call.cancelCall(.clientLeft)
            try await bench.until("a cancellation") { transport.notifications.count == 2 }
            #expect(transport.notifications[1].contains("notifications/cancelled") && !delegate.isGivenUp)
        }
    }

    @Test func aCancellationWaitsForTheOtherCallsWhereItEndsThem() async throws {
        try await withLoop { loop in
            let bench = PoolBench(on: loop)
            bench.server.revision = .v2025_03_26
            let (session, transport) = try await open(bench)
            let delegate = RecordingDelegate(of: session)
            let calls = (try call(session), try call(session))
            var ends = 0
            for call in [calls.0, calls.1] {
                loop.spawn {
                    _ = try? await call.waitForResponse()
                    ends += 1
                }
            }
            await bench.settle()
            calls.0.cancelCall(.clientLeft)
            try await bench.until("its end") { ends == 1 }
            await bench.settle()
            #expect(transport.notifications.count == 1 && delegate.isGivenUp)
            calls.1.respond()
            try await bench.until("a cancellation") { transport.notifications.count == 2 }
        }
    }

    @Test func aServerThatTakesNoCancellationsServesNoFurtherCalls() async throws {
        try await withLoop { loop in
            let bench = PoolBench(on: loop)
            let (session, transport) = try await open(bench, sending: 4)
            let delegate = RecordingDelegate(of: session)
            transport.takes = nil
            try call(session).cancelCall(.clientLeft)
            #expect(!delegate.isGivenUp)
            try call(session).cancelCall(.clientLeft)
            #expect(delegate.isGivenUp, "a quarter of four")
            transport.take(true)
        }
    }

    // MARK: Doubts

    @Test func theServerIsAskedOnceForAllThatDoubt() async throws {
        try await withLoop { loop in
            let bench = PoolBench(on: loop)
            bench.server.prepare = { $0.sign = nil }
            let (session, transport) = try await open(bench)
            let calls = try (0..<5).map { _ in try call(session) }
            var errors: [BackendError] = []
            for call in calls {
                loop.spawn {
                    do throws(BackendError) { _ = try await call.waitForResponse() } catch { errors.append(error) }
                }
                call.doubt(.ofAnotherEra)
            }
            try await bench.until("a ping") { transport.calls.count == 6 }
            await bench.settle()
            #expect(transport.calls.count == 6 && errors.isEmpty)
            transport.calls[5].failCall(with: .sessionGone)
            try await bench.until("answers") { errors.count == 5 }
            // Nothing ran, so each of them is sent again, and finds out by itself.
            #expect(errors.allSatisfy { $0.kind == .sessionLost })
        }
    }

    @Test func aSessionThatAnswersIsNotLost() async throws {
        try await withLoop { loop in
            let bench = PoolBench(on: loop)
            let (session, _) = try await open(bench)
            let call = try call(session)
            call.doubt(.ofAnotherEra)
            do throws(BackendError) {
                _ = try await call.waitForResponse()
                Issue.record("an answer")
            } catch {
                #expect(error.kind == .outcomeUnknown)
            }
            #expect(!session.isLost)
        }
    }

    // MARK: The end

    @Test func theEndWaitsForWhatIsOnItsWay() async throws {
        try await withLoop { loop in
            let bench = PoolBench(on: loop)
            let (session, transport) = try await open(bench)
            transport.takes = nil
            loop.spawn { try? await session.sendNotification(Array("{}".utf8), credentials: .none) }
            try await bench.until("a notification") { transport.notifications.count == 2 }
            loop.spawn { await session.closeSession() }
            await bench.settle()
            #expect(transport.ends == 0 && session.isClosed)
            transport.take(true)
            try await bench.until("its end") { transport.ends == 1 }
            await session.closeSession()
            #expect(transport.ends == 1)
        }
    }

    @Test func aForgottenSessionIsNotEnded() async throws {
        try await withLoop { loop in
            let bench = PoolBench(on: loop)
            let (session, transport) = try await open(bench)
            session.forgetSession()
            await session.closeSession()
            #expect(transport.drops == 1 && transport.ends == 0 && session.isClosed)
        }
    }
}
