import Foundation
import MCP
import Reactor
import Telemetry
import TestSupport
import Testing

@testable import Gateway

/// Clients and a server that do anything at any moment: each answer is its caller's, and nothing is left over.
@Suite(.timeLimit(.minutes(5))) struct ServedLoopRandomTests {
    /// Four runs, of some 300 requests each; more with `REMORA_STEPS`.
    private static let seeds = (1...UInt64(max(4, RandomSteps.wanted / 300))).map { $0 }

    @Test(arguments: seeds) func nothingIsLostOrCrossed(seed: UInt64) async throws {
        try await withLoop { loop in
            let chaos = Chaos(seed)
            let served = try ServedLoop(on: loop, ServedLoop.Changes(callsAtOnce: seed % 4 == 0 ? 2 : nil)) {
                server, message in
                chaos.answers(message, of: server, on: loop)
            }
            served.server.capabilities = #""tools":{},"logging":{}"#
            served.server.offersPushStream = seed % 2 == 0
            var running = 8
            let ended = Wakeup()
            for number in 1...running {
                loop.spawn {
                    await ServedLoopRandomTests.run(number, before: served, chaos)
                    running -= 1
                    ended.signal()
                }
            }
            try await eventually("clients that come to an end", on: loop, ended, within: .seconds(60)) { running == 0 }
            #expect(chaos.flaws == [])
            #expect(chaos.answered > 20, "\(chaos.answered) answers")
            chaos.isOver = true
            var looks = 0
            while served.service.counts.requests.active > 0, looks < 500 {
                looks += 1
                await pause(.milliseconds(20), on: loop)
            }
            #expect(served.service.counts.requests.active == 0, "requests that nothing has ended")
            #expect(served.log.internalErrorCount == 0)
            await served.end()
        }
    }

    /// A client that calls, leaves, answers and comes back.
    private static func run(_ number: Int, before served: ServedLoop, _ chaos: Chaos) async {
        for step in 1...25 {
            guard let client = try? await served.connect() else { return chaos.flaws.append("no connection") }
            let mark = "m\(number)x\(step)"
            let capabilities = chaos.random.below(2) == 0 ? #"{"elicitation":{}}"# : "{}"
            let level = chaos.random.below(4) == 0 ? #","io.modelcontextprotocol/logLevel":"debug""# : ""
            let arguments = #""name":"add","arguments":{"mark":"\#(mark)"},"#
            client.send("tools/call", name: "add", arguments, capabilities: capabilities, meta: level)
            if chaos.random.below(5) == 0 {
                await pause(.milliseconds(chaos.random.below(12)), on: served.loop)
                client.leave()
                continue
            }
            for _ in 1...4 {
                guard let answer = try? await client.answer() else { return chaos.flaws.append("no answer to \(mark)") }
                chaos.answered += 1
                if answer.contains("mark-"), !answer.contains("mark-\(mark)-") {
                    chaos.flaws.append("\(mark) got \(answer)")
                }
                guard answer.contains("input_required"),
                    let start = answer.range(of: #""requestState":""#), chaos.random.below(4) > 0
                else { break }
                let state = String(answer[start.upperBound...].prefix { $0 != "\"" })
                let retry =
                    #""requestState":"\#(state)","inputResponses":{"elicitation-1":{"action":"accept","content":{}},"elicitation-2":{"action":"accept","content":{}}},"#
                client.send("tools/call", name: "add", arguments + retry, capabilities: capabilities)
                if chaos.random.below(4) == 0 {
                    client.leave()
                    break
                }
            }
            client.leave()
        }
    }

    /// What the server does, by chance.
    private final class Chaos {
        var random: SplitMix
        var flaws: [String] = []
        var answered = 0
        /// From now on everything is answered at once.
        var isOver = false
        private var lastQuestion = 0

        init(_ seed: UInt64) { random = SplitMix(state: seed) }

        func answers(_ message: ScriptedLegacyServer.Message, of server: ScriptedLegacyServer, on loop: Loop) -> Bool {
            if isOver { return false }
            switch message.method {
            case "tools/call": return call(message, of: server, on: loop)
            case "tools/list", "logging/setLevel", "ping":
                guard random.below(8) == 0 else { return false }
                if random.below(2) == 0 { server.sessions.remove(message.session) } else { message.cut() }
                return message.isAnswered
            case "initialize":
                guard random.below(12) == 0 else { return false }
                message.error(-32603, "not now")
                return true
            default: return false
            }
        }

        private func call(
            _ message: ScriptedLegacyServer.Message, of server: ScriptedLegacyServer, on loop: Loop
        ) -> Bool {
            guard server.sessions.contains(message.session) else { return false }
            let mark = message.text.range(of: #""mark":""#).map { range in
                String(message.text[range.upperBound...].prefix { $0 != "\"" })
            }
            let result = #"{"content":[{"type":"text","text":"mark-\#(mark ?? "?")-"}]}"#
            switch random.below(10) {
            case 0: message.cut()
            case 1:
                server.sessions.remove(message.session)
                message.status(404)
            case 2: message.error(-32603, "no")
            case 3...4:
                lastQuestion += 1
                message.event(
                    #"{"jsonrpc":"2.0","id":"q\#(lastQuestion)","method":"elicitation/create","params":{"message":"mark-\#(mark ?? "?")-","requestedSchema":{"type":"object","properties":{}}}}"#
                )
                answerLater(message, result, on: loop)
            case 5...6: answerLater(message, result, on: loop)
            default: message.result(result)
            }
            return true
        }

        private func answerLater(_ message: ScriptedLegacyServer.Message, _ result: String, on loop: Loop) {
            let delay = Duration.milliseconds(random.below(60))
            loop.spawn {
                await pause(delay, on: loop)
                if !message.isAnswered { message.result(result) }
            }
        }
    }
}
