import JSONText
import MCP
import Reactor
import TestSupport
import Testing

@testable import Legacy

/// Channels of clients of older revisions in a pool with a fake server.
@Suite struct SessionPoolChannelTests {
    private static let initialize = #"{"jsonrpc":"2.0","id":"a","method":"initialize","params":{}}"#

    /// What becomes of the opening of a channel.
    private final class Attempt {
        let waiter = SessionWaiter(until: nil)
        var channel: ClientChannel?
        var error: BackendError?
    }

    private func open(_ bench: PoolBench, for caller: UInt8 = 1) throws -> Attempt {
        let document = try JSONDocument(Array(Self.initialize.utf8))
        let id = try #require(document.value("id", of: document.root).flatMap { MessageID($0, in: document) })
        let attempt = Attempt()
        bench.loop.spawn {
            do throws(BackendError) {
                attempt.channel = try await bench.pool.openChannel(
                    Array(Self.initialize.utf8), id: id, for: PoolBench.principal(caller), credentials: .none,
                    by: attempt.waiter)
            } catch {
                attempt.error = error
            }
        }
        return attempt
    }

    private static func answer(_ revision: String = "2025-03-26", id: String = #""a""#) -> String {
        #"{"jsonrpc":"2.0","id":\#(id),"result":{"protocolVersion":"\#(revision)"}}"#
    }

    @Test func theAnswerIsFoundAmongWhatComes() async throws {
        try await withLoop { loop in
            let bench = PoolBench(on: loop, startsProcesses: true)
            let attempt = try open(bench)
            try await bench.until("initialize") { bench.server.channels.first?.sent.count == 1 }
            let server = bench.server.channels[0]
            #expect(server.sent == [Self.initialize])
            server.say("a banner")
            server.say(#"{"jsonrpc":"2.0","id":7,"method":"ping"}"#)
            server.say(#"{"jsonrpc":"2.0","id":8,"method":"roots/list"}"#)
            server.say(#"{"jsonrpc":"2.0","method":"notifications/message"}"#)
            server.say(#"{"jsonrpc":"2.0","id":"another's","result":{}}"#)
            server.say(Self.answer())
            server.say(#"[{"jsonrpc":"2.0","method":"one"},{"jsonrpc":"2.0","method":"two"}]"#)
            try await bench.until("a channel") { attempt.channel != nil }
            let channel = try #require(attempt.channel)
            #expect(channel.isAgreed && channel.hasBatches)
            #expect(channel.answer.text == Array(Self.answer().utf8))
            #expect(channel.early.count == 3, "the ping is answered here")
            try await bench.until("the answer to the ping") { server.sent.count == 2 }
            #expect(server.sent[1] == #"{"jsonrpc":"2.0","id":7,"result":{}}"#)
            #expect(await channel.nextMessage()?.text == Array(#"{"jsonrpc":"2.0","method":"one"}"#.utf8))
            #expect(await channel.nextMessage()?.text == Array(#"{"jsonrpc":"2.0","method":"two"}"#.utf8))
            #expect(bench.pool.counts.open == 1)
            await channel.endChannel(.closed)
            #expect(bench.pool.count == 0 && server.isTornDown)
            bench.checkNoMistakes()
        }
    }

    @Test func anErrorIsTheClientsToRead() async throws {
        try await withLoop { loop in
            let bench = PoolBench(on: loop, startsProcesses: true)
            let attempt = try open(bench)
            try await bench.until("initialize") { bench.server.channels.first?.sent.count == 1 }
            bench.server.channels[0].say(#"{"jsonrpc":"2.0","id":"a","error":{"code":1,"message":"no"}}"#)
            try await bench.until("a channel") { attempt.channel != nil }
            #expect(attempt.channel?.isAgreed == false && attempt.channel?.hasBatches == false)
            bench.checkNoMistakes()
        }
    }

    @Test func aChannelThatEndsBeforeItIsOpenGivesItsPlaceBack() async throws {
        try await withLoop { loop in
            let bench = PoolBench(on: loop, startsProcesses: true, PoolBench.limits(1, perPrincipal: 1))
            let first = try open(bench)
            try await bench.until("initialize") { bench.server.channels.first?.sent.count == 1 }
            let second = try open(bench, for: 2)
            await bench.settle()
            #expect(bench.server.channels.count == 1)
            bench.server.channels[0].failCalls(BackendError(.unavailable, "ended"))
            try await bench.until("an error") { first.error?.kind == .unavailable }
            try await bench.until("another") { bench.server.channels.count == 2 }
            bench.server.channels[1].say(Self.answer())
            try await bench.until("a channel") { second.channel != nil }
            #expect(bench.pool.counts.failed == 1 && bench.pool.count == 1)
            bench.checkNoMistakes()
        }
    }

    @Test func aChannelEndsWithItsClient() async throws {
        try await withLoop { loop in
            let bench = PoolBench(on: loop, startsProcesses: true)
            let attempt = try open(bench)
            try await bench.until("initialize") { bench.server.channels.first?.sent.count == 1 }
            attempt.waiter.stopWaiting()
            try await bench.until("its end") { attempt.error?.kind == .cancelled }
            #expect(bench.server.channels[0].isTornDown && bench.pool.count == 0)
            #expect(bench.pool.counts.failed == 0)
            bench.checkNoMistakes()
        }
    }

    @Test func noCallHasTheChannelOfAClient() async throws {
        try await withLoop { loop in
            let bench = PoolBench(on: loop, startsProcesses: true, PoolBench.limits(2, perPrincipal: 2))
            let attempt = try open(bench)
            try await bench.until("initialize") { bench.server.channels.first?.sent.count == 1 }
            bench.server.channels[0].say(Self.answer("2025-06-18"))
            try await bench.until("a channel") { attempt.channel != nil }
            _ = try await bench.lease(1)
            let refused = bench.ask(2)
            await bench.settle()
            #expect(refused.outcome == nil && bench.pool.count == 2)
            let channel = try #require(attempt.channel)
            await channel.endChannel(.lost)
            try await bench.until("a session") { refused.lease != nil }
            #expect(bench.pool.counts.lossCount(.server) == 1)
            bench.checkNoMistakes()
        }
    }
}
