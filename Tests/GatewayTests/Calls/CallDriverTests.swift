import Foundation
import Legacy
import Reactor
import TestSupport
import Testing

@testable import Gateway

/// Calls on their way to a scripted server: what it gets, and what the client does.
@Suite(.timeLimit(.minutes(2))) struct CallDriverTests {
    /// Runs a test on a loop of its own, in front of a server that answers by `script`.
    private func onLoop(
        _ changes: ServedLoop.Changes = ServedLoop.Changes(),
        _ script: @escaping @Sendable (ScriptedLegacyServer, ScriptedLegacyServer.Message) -> Bool = { _, _ in false },
        _ test: @escaping @Sendable (ServedLoop) async throws -> Void
    ) async throws {
        try await withLoop { loop in
            let served = try ServedLoop(on: loop, changes, script)
            do {
                try await test(served)
            } catch {
                await served.end()
                throw error
            }
            await served.end()
        }
    }

    /// Does this for each message with the method. Without it, the message waits.
    private static func script(
        _ method: String, _ act: @escaping @Sendable (ScriptedLegacyServer.Message) -> Void = { _ in }
    ) -> @Sendable (ScriptedLegacyServer, ScriptedLegacyServer.Message) -> Bool {
        { _, message in
            if message.method == method { act(message) }
            return message.method == method
        }
    }

    private static let asking = #"{"elicitation":{}}"#

    // MARK: Becoming a task

    private static let tasking = #""extensions":{"io.modelcontextprotocol/tasks":{}}"#
    private static let promoting = ServedLoop.Changes(
        tasks: TaskSettings(
            isOn: true, makesOptional: false, promotion: .milliseconds(50), max: 2, maxPerPrincipal: 2,
            maxTTL: .seconds(60)))

    private func taskID(in answer: String) throws -> String {
        let start = try #require(answer.range(of: #""taskId":""#)).upperBound
        return String(answer[start...].prefix { $0 != "\"" })
    }

    @Test(arguments: ["{\(tasking)}", "{\(tasking),\"elicitation\":{}}"]) func aCallThatLastsBecomesATask(
        _ capabilities: String
    ) async throws {
        try await onLoop(Self.promoting, Self.script("tools/call")) { served in
            let client = try await served.connect()
            for ending in ["result", "error", "cut", "cancelled"] {
                client.call(capabilities: capabilities)
                let created = try await client.answer()
                #expect(created.contains(#""resultType":"task""#) && created.contains(#""status":"working""#))
                let id = try self.taskID(in: created)
                func get() async throws -> String {
                    client.send("tasks/get", name: id, #""taskId":"\#(id)","#, capabilities: capabilities)
                    return try await client.answer()
                }
                #expect(try await get().contains(#""status":"working""#))
                let call = try #require(served.server.messages.last { $0.method == "tools/call" })
                switch ending {
                case "result": call.result(#"{"content":[],"isError":true}"#)
                case "error": call.error(-32000, "fell in")
                case "cut": call.cut()
                default:
                    client.send("tasks/cancel", name: id, #""taskId":"\#(id)","#, capabilities: capabilities)
                    #expect(try await client.answer().contains(#""resultType":"complete""#))
                    #expect(try await get().contains(#""status":"cancelled""#))
                    try await served.until("the cancellation") {
                        served.server.count("notifications/cancelled") == 1
                    }
                    call.result("{}")
                    continue
                }
                var found = try await get()
                while found.contains(#""status":"working""#) {
                    await Pause(on: served.loop).waitFor(.milliseconds(10))
                    found = try await get()
                }
                switch ending {
                case "result": #expect(found.contains(#""status":"completed""#) && found.contains(#""isError":true"#))
                case "error": #expect(found.contains(#""status":"failed""#) && found.contains("fell in"))
                default: #expect(found.contains(#""reason":"outcome_unknown""#))
                }
            }
            #expect(served.server.count("tools/call") == 4)
        }
    }

    @Test func withoutRoomACallStaysWhatItIs() async throws {
        try await onLoop(Self.promoting, Self.script("tools/call")) { served in
            let clients = [try await served.connect(), try await served.connect(), try await served.connect()]
            for client in clients.prefix(2) {
                client.call(capabilities: "{\(Self.tasking)}")
                #expect(try await client.answer().contains(#""resultType":"task""#))
            }
            clients[2].call(capabilities: "{\(Self.tasking)}")
            try await served.until("the third call") { served.server.count("tools/call") == 3 }
            await Pause(on: served.loop).waitFor(.milliseconds(200))
            served.server.messages.last?.result(#"{"content":[{"type":"text","text":"plain"}]}"#)
            #expect(try await clients[2].answer().contains("plain"))
        }
    }

    @Test(arguments: ["{}", asking]) func whoDeclaresNoTasksWaits(_ capabilities: String) async throws {
        try await onLoop(Self.promoting, Self.script("tools/call")) { served in
            let client = try await served.connect()
            client.call(capabilities: capabilities)
            try await served.until("the call") { served.server.count("tools/call") == 1 }
            await Pause(on: served.loop).waitFor(.milliseconds(200))
            served.server.messages.last?.result(#"{"content":[{"type":"text","text":"plain"}]}"#)
            #expect(try await client.answer().contains("plain"))
        }
    }

    // MARK: Both kinds

    @Test(arguments: ["{}", asking]) func aColdCallGetsASessionAndTheToolsFirst(_ capabilities: String) async throws {
        try await onLoop { served in
            let client = try await served.connect()
            client.call(capabilities: capabilities)
            let answer = try await client.answer()
            #expect(answer.contains("200") && answer.contains("done"))
            // A server without a GET stream is asked whether it is there.
            let methods = served.server.methods.filter { $0 != "ping" }
            #expect(methods == ["initialize", "notifications/initialized", "tools/list", "tools/call"])
            client.call(capabilities: capabilities)
            #expect(try await client.answer().contains("done"))
            #expect(served.server.methods.last == "tools/call" && served.server.count("tools/list") == 1)
        }
    }

    @Test(arguments: ["{}", asking]) func aLostSessionIsReplacedOnce(_ capabilities: String) async throws {
        try await onLoop { served in
            let client = try await served.connect()
            client.call(capabilities: capabilities)
            _ = try await client.answer()
            served.server.sessions = []
            client.call(capabilities: capabilities)
            #expect(try await client.answer().contains("done"))
            #expect(served.server.count("initialize") == 2)
        }
    }

    @Test(arguments: ["{}", asking]) func aServerThatLosesEverySessionIsNotAskedWithoutEnd(
        _ capabilities: String
    ) async throws {
        let script = Self.script("tools/call") { $0.status(404) }
        try await onLoop(ServedLoop.Changes(), script) { served in
            let client = try await served.connect()
            client.call(capabilities: capabilities)
            let answer = try await client.answer()
            #expect(answer.contains(" 503 ") && answer.contains(#""dispatched":false"#))
            #expect(served.server.count("tools/call") == 2)
        }
    }

    /// The session of the next attempt is another one, and has no level yet.
    @Test(arguments: ["{}", asking]) func theLogLevelIsSetInEachSessionOfACall(_ capabilities: String) async throws {
        try await onLoop { served in
            served.server.capabilities = #""tools":{},"logging":{}"#
            let client = try await served.connect()
            let level = #","io.modelcontextprotocol/logLevel":"debug""#
            client.call(capabilities: capabilities, meta: level)
            _ = try await client.answer()
            #expect(served.server.count("logging/setLevel") == 1)
            served.server.sessions = []
            client.call(capabilities: capabilities, meta: level)
            #expect(try await client.answer().contains("done"))
            #expect(served.server.count("logging/setLevel") == 2)
        }
    }

    /// The list of the tools is the first that finds out that the session is gone.
    @Test(arguments: ["{}", asking]) func aSessionThatIsLostBeforeTheCallIsReplaced(
        _ capabilities: String
    ) async throws {
        let script: @Sendable (ScriptedLegacyServer, ScriptedLegacyServer.Message) -> Bool = { server, message in
            if message.method == "tools/list", server.count("initialize") == 1 { server.sessions = [] }
            return false
        }
        try await onLoop(ServedLoop.Changes(), script) { served in
            let client = try await served.connect()
            client.call(capabilities: capabilities)
            #expect(try await client.answer().contains("done"))
            #expect(served.server.count("initialize") == 2)
        }
    }

    @Test(arguments: ["{}", asking]) func whatMayHaveRunIsNotSentAgain(_ capabilities: String) async throws {
        let script = Self.script("tools/call") { $0.cut() }
        try await onLoop(ServedLoop.Changes(), script) { served in
            let client = try await served.connect()
            client.call(capabilities: capabilities)
            #expect(try await client.answer().contains(#""dispatched":true"#))
            #expect(served.server.count("tools/call") == 1)
        }
    }

    @Test func whatMayRunTwiceIsSentOnceMore() async throws {
        let script: @Sendable (ScriptedLegacyServer, ScriptedLegacyServer.Message) -> Bool = { server, message in
            guard message.method == "resources/read", server.count("resources/read") == 1 else { return false }
            message.cut()
            return true
        }
        try await onLoop(ServedLoop.Changes(), script) { served in
            served.server.capabilities = #""resources":{}"#
            let client = try await served.connect()
            client.send("resources/read", name: "a:b", #""uri":"a:b","#)
            #expect(try await client.answer().contains(" 200 "))
            #expect(served.server.count("resources/read") == 2)
        }
    }

    @Test(arguments: ["{}", asking]) func aClientThatLeavesCancelsItsCall(_ capabilities: String) async throws {
        let script = Self.script("tools/call")
        try await onLoop(ServedLoop.Changes(), script) { served in
            let client = try await served.connect()
            client.call(capabilities: capabilities)
            try await served.until("the call") { served.server.count("tools/call") == 1 }
            client.leave()
            try await served.until("a cancellation") { served.server.count("notifications/cancelled") == 1 }
        }
    }

    @Test(arguments: ["{}", asking]) func aClientThatLeavesBeforeTheCallIsSentHasNothingRun(
        _ capabilities: String
    ) async throws {
        let script = Self.script("tools/list")
        try await onLoop(ServedLoop.Changes(), script) { served in
            let client = try await served.connect()
            client.call(capabilities: capabilities)
            try await served.until("the list") { served.server.count("tools/list") == 1 }
            client.leave()
            served.server.script = { _, _ in false }
            served.server.messages.last?.result(#"{"tools":[]}"#)
            let next = try await served.connect()
            next.call(capabilities: capabilities)
            #expect(try await next.answer().contains("done"))
            #expect(served.server.count("tools/call") == 1)
        }
    }

    /// The server is silent about the level of the log, which the next caller need not wait for.
    @Test(arguments: ["{}", asking]) func aClientThatLeavesGivesItsTurnBackAtEachStep(
        _ capabilities: String
    ) async throws {
        let script = Self.script("logging/setLevel")
        try await onLoop(ServedLoop.Changes(callsAtOnce: 1), script) { served in
            served.server.capabilities = #""tools":{},"logging":{}"#
            let (first, second) = (try await served.connect(), try await served.connect())
            first.call(capabilities: capabilities, meta: #","io.modelcontextprotocol/logLevel":"debug""#)
            try await served.until("the level") { served.server.count("logging/setLevel") == 1 }
            second.call(capabilities: capabilities)
            let start = served.loop.now
            first.leave()
            #expect(try await second.answer().contains("done"))
            #expect(Instant.now - start < .seconds(3), "5 s is how long a session waits for an answer of its own")
            #expect(served.server.count("tools/call") == 1)
        }
    }

    @Test(arguments: ["{}", asking]) func callsTakeTurns(_ capabilities: String) async throws {
        let script = Self.script("tools/call")
        try await onLoop(ServedLoop.Changes(callsAtOnce: 1), script) { served in
            var clients: [ServedLoop.Client] = []
            for _ in 1...3 {
                let client = try await served.connect()
                client.call(capabilities: capabilities)
                clients.append(client)
                try await served.until("the first call") { served.server.count("tools/call") == 1 }
            }
            // The second leaves while it waits for its turn.
            clients[1].leave()
            served.server.messages.last?.result("{}")
            #expect(try await clients[0].answer().contains(" 200 "))
            try await served.until("the third call") { served.server.count("tools/call") == 2 }
            served.server.messages.last?.result("{}")
            #expect(try await clients[2].answer().contains(" 200 "))
            #expect(served.server.count("tools/call") == 2)
        }
    }

    @Test(arguments: ["{}", asking]) func aMethodThatTheServerLacksIsNotSent(_ capabilities: String) async throws {
        try await onLoop { served in
            let client = try await served.connect()
            client.send("prompts/get", name: "p", #""name":"p","#, capabilities: capabilities)
            #expect(try await client.answer().contains(" 404 "))
            #expect(served.server.count("prompts/get") == 0)
        }
    }

    @Test func aRefusedHandshakeIsToldWithItsReason() async throws {
        let script = Self.script("initialize") { $0.error(-32603, "out of cheese") }
        try await onLoop(ServedLoop.Changes(), script) { served in
            let client = try await served.connect()
            client.call()
            let answer = try await client.answer()
            #expect(answer.contains(" 503 ") && answer.contains("out of cheese"))
        }
    }

    // MARK: Beside calls

    @Test func discoveryAndListsNeedNoCall() async throws {
        try await onLoop { served in
            let client = try await served.connect()
            client.send("server/discover")
            #expect(try await client.answer().contains(#""supportedVersions""#))
            client.send("tools/list")
            #expect(try await client.answer().contains(#""name":"add""#))
            client.send("tools/list")
            #expect(try await client.answer().contains(#""name":"add""#))
            #expect(served.server.count("tools/list") == 1)
        }
    }

    @Test func aClientThatLeavesItsListLetsOthersHaveIt() async throws {
        let script = Self.script("tools/list")
        try await onLoop(ServedLoop.Changes(), script) { served in
            let (first, second) = (try await served.connect(), try await served.connect())
            first.send("tools/list")
            try await served.until("the list") { served.server.count("tools/list") == 1 }
            second.send("tools/list")
            first.leave()
            await pause(.milliseconds(20), on: served.loop)
            served.server.messages.last?.result(#"{"tools":[{"name":"late","inputSchema":{"type":"object"}}]}"#)
            #expect(try await second.answer().contains("late"))
        }
    }

    @Test func discoverySaysNothingAboutTheLog() async throws {
        try await onLoop { served in
            served.server.capabilities = #""tools":{},"logging":{}"#
            let client = try await served.connect()
            client.send("server/discover", meta: #","io.modelcontextprotocol/logLevel":"debug""#)
            #expect(try await client.answer().contains(#""supportedVersions""#))
            #expect(served.server.count("logging/setLevel") == 0)
        }
    }

    /// What is answered before the connection has given it away, and what has to wait, in one packet.
    @Test(arguments: ["{}", asking]) func pipelinedRequestsAreAnsweredInTheirOrder(
        _ capabilities: String
    ) async throws {
        try await onLoop { served in
            let client = try await served.connect()
            client.call(capabilities: capabilities)
            _ = try await client.answer()
            for _ in 1...3 { client.send("prompts/get", name: "p", #""name":"p","#, capabilities: capabilities) }
            client.peer.write("OPTIONS /mcp HTTP/1.1\r\nHost: 127.0.0.1\r\nAccess-Control-Request-Method: POST\r\n\r\n")
            client.call(capabilities: capabilities)
            try await client.peer.until("all answers") { $0.text.contains(#""id":5"#) && $0.text.contains("done") }
            let statuses = client.peer.text.components(separatedBy: "HTTP/1.1 ").dropFirst().map {
                String($0.prefix(3))
            }
            #expect(statuses == ["404", "404", "404", "405", "200"])
        }
    }

    // MARK: Questions

    private static let question =
        #"{"jsonrpc":"2.0","id":"q","method":"elicitation/create","params":{"message":"who?","requestedSchema":{"type":"object","properties":{}}}}"#

    private static func state(in answer: String) throws -> String {
        let start = try #require(answer.range(of: #""requestState":""#))
        return String(answer[start.upperBound...].prefix { $0 != "\"" })
    }

    private static func retry(_ state: String, _ answers: String) -> String {
        #""requestState":"\#(state)","inputResponses":\#(answers),"#
    }

    private static let accepted = #"{"elicitation-1":{"action":"accept","content":{}}}"#

    @Test func aQuestionIsARoundAndItsAnswerEndsTheCall() async throws {
        let script = Self.script("tools/call") { $0.event(CallDriverTests.question) }
        try await onLoop(ServedLoop.Changes(), script) { served in
            let client = try await served.connect()
            client.call(capabilities: Self.asking)
            let asked = try await client.answer()
            #expect(asked.contains("input_required") && asked.contains("who?"))
            let call = try #require(served.server.messages.last { $0.method == "tools/call" })
            let state = try Self.state(in: asked)
            // Another connection: the call is its loop's.
            let next = try await served.connect()
            next.call(Self.retry(state, Self.accepted), capabilities: Self.asking)
            try await served.until("the answer") { served.server.messages.contains { $0.text.contains(#""id":"q""#) } }
            call.result(#"{"content":[{"type":"text","text":"hello"}]}"#)
            #expect(try await next.answer().contains("hello"))
            #expect(served.server.count("tools/call") == 1)
            // A retry that is sent again gets the same.
            next.call(Self.retry(state, Self.accepted), capabilities: Self.asking)
            #expect(try await next.answer().contains("hello"))
        }
    }

    @Test func aStateThatIsNotSealedHereIsRefused() async throws {
        try await onLoop { served in
            let client = try await served.connect()
            client.call(Self.retry("v1.forged", Self.accepted), capabilities: Self.asking)
            #expect(try await client.answer().contains("requestState"))
            #expect(served.server.count("tools/call") == 0)
        }
    }

    @Test func whatIsAskedBeforeTheCallIsAnsweredBeforeItRuns() async throws {
        try await onLoop(ServedLoop.Changes(), Self.script("tools/list")) { served in
            served.server.offersPushStream = true
            let client = try await served.connect()
            client.call(capabilities: Self.asking)
            try await served.until("the list") { served.server.count("tools/list") == 1 }
            let list = try #require(served.server.messages.last { $0.method == "tools/list" })
            served.server.push(Self.question)
            await pause(.milliseconds(50), on: served.loop)
            list.result(#"{"tools":[{"name":"add","inputSchema":{"type":"object"}}]}"#)
            let asked = try await client.answer()
            #expect(asked.contains("input_required") && served.server.count("tools/call") == 0)
            client.call(Self.retry(try Self.state(in: asked), Self.accepted), capabilities: Self.asking)
            #expect(try await client.answer().contains("done"))
            #expect(served.server.count("tools/call") == 1)
        }
    }

    @Test func aPageThatIsToBeVisitedFirstHasTheCallRunAfterIt() async throws {
        let script: @Sendable (ScriptedLegacyServer, ScriptedLegacyServer.Message) -> Bool = { server, message in
            guard message.method == "tools/call", server.count("tools/call") == 1 else { return false }
            let page = #"{"mode":"url","message":"go","url":"https://a/","elicitationId":"e"}"#
            message.error(-32042, "visit", data: #"{"elicitations":[\#(page)]}"#)
            return true
        }
        try await onLoop(ServedLoop.Changes(), script) { served in
            served.server.offersPushStream = true
            let capabilities = #"{"elicitation":{"url":{}}}"#
            let client = try await served.connect()
            client.call(capabilities: capabilities)
            let asked = try await client.answer()
            #expect(asked.contains("https://a/"))
            let answers = #"{"elicitation-1":{"action":"accept"}}"#
            client.call(Self.retry(try Self.state(in: asked), answers), capabilities: capabilities)
            try await served.until("a GET stream") { !served.server.pushStreams.isEmpty }
            await pause(.milliseconds(50), on: served.loop)
            #expect(served.server.count("tools/call") == 1)
            served.server.push(
                #"{"jsonrpc":"2.0","method":"notifications/elicitation/complete","params":{"elicitationId":"e"}}"#)
            #expect(try await client.answer().contains("done"))
            #expect(served.server.count("tools/call") == 2)
        }
    }

    @Test func aPageThatTheUserDeclinesHasNothingRun() async throws {
        let script = Self.script("tools/call") { message in
            let page = #"{"mode":"url","message":"go","url":"https://a/","elicitationId":"e"}"#
            message.error(-32042, "visit", data: #"{"elicitations":[\#(page)]}"#)
        }
        try await onLoop(ServedLoop.Changes(), script) { served in
            let capabilities = #"{"elicitation":{"url":{}}}"#
            let client = try await served.connect()
            client.call(capabilities: capabilities)
            let state = try Self.state(in: try await client.answer())
            client.call(
                Self.retry(state, #"{"elicitation-1":{"action":"decline"}}"#), capabilities: capabilities)
            #expect(try await client.answer().contains("declined"))
            #expect(served.server.count("tools/call") == 1)
        }
    }

    /// Nothing says that nothing was run, once a request may have run.
    @Test func aPageThatTheUserDeclinesDoesNotUndoWhatMayHaveRun() async throws {
        let script: @Sendable (ScriptedLegacyServer, ScriptedLegacyServer.Message) -> Bool = { server, message in
            guard message.method == "resources/read" else { return false }
            if server.count("resources/read") == 1 {
                message.cut()
            } else {
                let page = #"{"mode":"url","message":"go","url":"https://a/","elicitationId":"e"}"#
                message.error(-32042, "visit", data: #"{"elicitations":[\#(page)]}"#)
            }
            return true
        }
        try await onLoop(ServedLoop.Changes(), script) { served in
            served.server.capabilities = #""resources":{}"#
            let capabilities = #"{"elicitation":{"url":{}}}"#
            let client = try await served.connect()
            func read(_ params: String = "") {
                client.send("resources/read", name: "a:b", #""uri":"a:b","# + params, capabilities: capabilities)
            }
            read()
            let state = try Self.state(in: try await client.answer())
            #expect(served.server.count("resources/read") == 2)
            read(Self.retry(state, #"{"elicitation-1":{"action":"decline"}}"#))
            let answer = try await client.answer()
            #expect(answer.contains("may have partly run") && !answer.contains("not run"))
        }
    }

    // MARK: Another configuration, and the end

    @Test(arguments: ["{}", asking]) func aCallEndsUnderTheConfigurationThatItBeganWith(
        _ capabilities: String
    ) async throws {
        let script: @Sendable (ScriptedLegacyServer, ScriptedLegacyServer.Message) -> Bool = { server, message in
            message.method == "tools/call" && server.count("tools/call") == 1
        }
        try await onLoop(ServedLoop.Changes(), script) { served in
            let client = try await served.connect()
            client.call(capabilities: capabilities)
            try await served.until("the call") { served.server.count("tools/call") == 1 }
            let first = try #require(served.server.messages.last)
            served.reload(ServedLoop.Changes())
            let next = try await served.connect()
            next.call(capabilities: capabilities)
            #expect(try await next.answer().contains("done"))
            #expect(served.server.count("initialize") == 2)
            first.result(#"{"content":[{"type":"text","text":"late"}]}"#)
            #expect(try await client.answer().contains("late"))
            // Its session is ended when no call needs it.
            client.call(capabilities: capabilities)
            #expect(try await client.answer().contains("done"))
            #expect(served.server.count("initialize") == 2)
        }
    }

    /// The second configuration has the sessions and lists of the first, and ends before it.
    @Test(arguments: ["{}", asking]) func whatWaitsIsServedThroughTwoReloads(_ capabilities: String) async throws {
        let script: @Sendable (ScriptedLegacyServer, ScriptedLegacyServer.Message) -> Bool = { server, message in
            message.method == "tools/list" && server.count("tools/list") == 1
        }
        try await onLoop(ServedLoop.Changes(), script) { served in
            let (caller, lister) = (try await served.connect(), try await served.connect())
            caller.call(capabilities: capabilities)
            try await served.until("the list") { served.server.count("tools/list") == 1 }
            lister.send("tools/list", capabilities: capabilities)
            for _ in 1...200 where served.service.counts.requests.active < 2 {
                await pause(.milliseconds(5), on: served.loop)
            }
            let list = try #require(served.server.messages.last { $0.method == "tools/list" })
            served.reload(ServedLoop.Changes(keepsServer: true))
            await pause(.milliseconds(20), on: served.loop)
            served.reload(ServedLoop.Changes())
            await pause(.milliseconds(20), on: served.loop)
            list.result(#"{"tools":[{"name":"add","inputSchema":{"type":"object"}}]}"#)
            #expect(try await caller.answer().contains("done"))
            #expect(try await lister.answer().contains(#""name":"add""#))
        }
    }

    @Test func aRetryFindsItsCallAfterAReload() async throws {
        let script = Self.script("tools/call") { $0.event(CallDriverTests.question) }
        try await onLoop(ServedLoop.Changes(), script) { served in
            let client = try await served.connect()
            client.call(capabilities: Self.asking)
            let state = try Self.state(in: try await client.answer())
            let call = try #require(served.server.messages.last { $0.method == "tools/call" })
            served.reload(ServedLoop.Changes())
            client.call(Self.retry(state, Self.accepted), capabilities: Self.asking)
            try await served.until("the answer") { served.server.messages.contains { $0.text.contains(#""id":"q""#) } }
            call.result(#"{"content":[{"type":"text","text":"hello"}]}"#)
            #expect(try await client.answer().contains("hello"))
            #expect(served.server.count("tools/call") == 1)
        }
    }

    @Test func aCallWhoseClientDoesNotComeBackEndsWithTheProcess() async throws {
        let script = Self.script("tools/call") { $0.event(CallDriverTests.question) }
        try await onLoop(ServedLoop.Changes(), script) { served in
            let client = try await served.connect()
            client.call(capabilities: Self.asking)
            #expect(try await client.answer().contains("input_required"))
            #expect(served.service.counts.parking.parked == 1)
        }
    }
}
