import Crypto
import HTTPWire
import Legacy
import MCP
import Reactor
import TestSupport
import Testing
import Translation

@testable import Gateway

@Suite(.timeLimit(.minutes(5))) struct ListsTests {
    /// Asks for a list as a call does. Returns what came of it, in words.
    private static func list(
        _ stage: SessionStage, _ method: String = "tools/list", cursor: String? = nil, id: String = "1",
        as token: String = "A", by waiter: ListWaiter? = nil
    ) async throws -> String {
        let request = try stage.request(method, params: cursor.map { #""cursor":"\#($0)","# } ?? "", id: id)
        let caller = try stage.caller(token)
        let waiter = waiter ?? ListWaiter(until: .now + .seconds(20), on: stage.loop)
        return words(
            await stage.lists.respondWithList(request, of: caller, key: stage.key(request, of: caller), waiter))
    }

    private static func tool(_ name: String, _ description: String = "") -> String {
        #"{"name":"\#(name)","description":"\#(description)","inputSchema":{"type":"object"}}"#
    }

    private static func cursor(of text: String) -> String? {
        guard let start = text.firstRange(of: #""nextCursor":""#) else { return nil }
        return String(text[start.upperBound...].prefix { $0 != "\"" })
    }

    @Test func aListIsReadOnceForAllAndKept() async throws {
        try await withLoop { loop in
            let server = try ScriptedMCPServer(on: loop)
            let stage = try SessionStage(on: loop, server)
            var waiting: [ScriptedMCPServer.Call] = []
            server.respond = { waiting.append($0) }
            var outcomes: [String] = []
            let done = Wakeup()
            for id in 1...3 {
                loop.spawn {
                    outcomes.append((try? await Self.list(stage, id: "\(id)")) ?? "nothing")
                    done.signal()
                }
            }
            try await server.requests(of: "tools/list")
            await pause(.milliseconds(20), on: loop)
            #expect(waiting.count == 1)
            waiting.first?.answer(#"{"tools":[\#(Self.tool("add"))]}"#)
            try await eventually("three outcomes", on: loop, done) { outcomes.count == 3 }
            for id in 1...3 { #expect(outcomes.contains { $0.contains(#""id":\#(id),"#) && $0.contains("add") }) }
            #expect(try await Self.list(stage, id: "4").contains("add"))
            #expect(server.count(of: "tools/list") == 1)
            #expect(stage.lists.keptCount == 1 && stage.lists.keptSize > 0)
            // Another caller shares nothing with this one.
            loop.spawn {
                _ = try? await server.requests(of: "tools/list", count: 2)
                waiting.last?.answer(#"{"tools":[]}"#)
            }
            #expect(try await Self.list(stage, as: "B").contains(#""tools":[]"#))
        }
    }

    @Test func pagesOfTheServerAreOneList() async throws {
        try await withLoop { loop in
            let server = try ScriptedMCPServer(on: loop) { call in
                switch call.cursor {
                case nil: call.answer(#"{"tools":[\#(Self.tool("a"))],"nextCursor":"2"}"#)
                case "2": call.answer(#"{"tools":[\#(Self.tool("b"))],"nextCursor":"3"}"#)
                default: call.answer(#"{"tools":[\#(Self.tool("c"))]}"#)
                }
            }
            let stage = try SessionStage(on: loop, server)
            let text = try await Self.list(stage)
            #expect(["a", "b", "c"].allSatisfy { text.contains(#""name":"\#($0)""#) } && Self.cursor(of: text) == nil)
            #expect(server.count(of: "tools/list") == 3)
        }
    }

    @Test func aLargeListIsHandedOutInPages() async throws {
        try await withLoop { loop in
            let long = String(repeating: "x", count: 400_000)
            let server = try ScriptedMCPServer(on: loop) { call in
                let number = call.cursor.flatMap { Int($0) } ?? 0
                let next = number < 3 ? #","nextCursor":"\#(number + 1)""# : ""
                call.answer(#"{"tools":[\#(Self.tool("t\(number)", long))]\#(next)}"#)
            }
            let stage = try SessionStage(on: loop, server)
            var names: [String] = []
            var cursor: String?
            repeat {
                let text = try await Self.list(stage, cursor: cursor)
                names += (0..<4).map { "t\($0)" }.filter { text.contains(#""name":"\#($0)""#) }
                cursor = Self.cursor(of: text)
                if let cursor {
                    // It is for this caller and this list only.
                    #expect(try await Self.list(stage, cursor: cursor, as: "B") == "refused 200 -32602")
                    #expect(try await Self.list(stage, "resources/list", cursor: cursor) == "refused 200 -32602")
                }
            } while cursor != nil
            #expect(names == ["t0", "t1", "t2", "t3"])
            #expect(server.count(of: "tools/list") == 4)
            #expect(try await Self.list(stage, cursor: "invalid") == "refused 200 -32602")
        }
    }

    @Test func aListWithoutEndIsHandedOutAsTheServerGivesIt() async throws {
        try await withLoop { loop in
            let server = try ScriptedMCPServer(on: loop) { call in
                let number = call.cursor.flatMap { Int($0) } ?? 0
                call.answer(#"{"tools":[\#(Self.tool("t\(number)"))],"nextCursor":"\#(number + 1)"}"#)
            }
            let stage = try SessionStage(on: loop, server)
            let first = try await Self.list(stage)
            #expect(first.contains(#""name":"t0""#) && !first.contains(#""name":"t1""#))
            #expect(server.count(of: "tools/list") == 100)
            let second = try await Self.list(stage, cursor: Self.cursor(of: first))
            #expect(second.contains(#""name":"t1""#) && !second.contains(#""name":"t2""#))
            #expect(Self.cursor(of: second) != nil && server.count(of: "tools/list") == 101)
        }
    }

    @Test func anErrorOfTheServerIsAnAnswerAndIsNotKept() async throws {
        try await withLoop { loop in
            let server = try ScriptedMCPServer(on: loop, respond: { $0.fail(-32050, "ill") })
            let stage = try SessionStage(on: loop, server)
            for _ in 0..<2 {
                let text = try await Self.list(stage)
                #expect(text.contains(#""error""#) && text.contains("ill"))
            }
            #expect(server.count(of: "tools/list") == 2 && stage.lists.keptCount == 0)
            server.respond = { $0.answer("[]") }
            #expect(try await Self.list(stage) == "failed, outcomeUnknown")
            #expect(try await Self.list(stage, "prompts/list").hasPrefix("refused "))
            #expect(server.count(of: "prompts/list") == 0)
        }
    }

    @Test func aReadingThatIsCutIsBegunOnceMore() async throws {
        try await withLoop { loop in
            let server = try ScriptedMCPServer(on: loop)
            let stage = try SessionStage(on: loop, server)
            var cuts = 1
            server.respond = { call in
                if cuts == 0 { return call.answer(#"{"tools":[]}"#) }
                cuts -= 1
                call.request.peer.socket.close()
            }
            #expect(try await Self.list(stage).contains(#""tools":[]"#))
            #expect(server.count(of: "tools/list") == 2)
            stage.lists.applyChangeNotice(.toolsListChanged, by: try stage.caller().principal)
            cuts = 10
            #expect(try await Self.list(stage).hasPrefix("failed, "))
            #expect(server.count(of: "tools/list") == 4)
        }
    }

    @Test func aChangeDropsTheList() async throws {
        try await withLoop { loop in
            let server = try ScriptedMCPServer(on: loop, respond: { $0.answer(#"{"tools":[]}"#) })
            let stage = try SessionStage(on: loop, server)
            _ = try await Self.list(stage)
            // Of another principal, or of another list.
            stage.lists.applyChangeNotice(.toolsListChanged, by: try stage.caller("B").principal)
            stage.lists.applyChangeNotice(.promptsListChanged, by: try stage.caller().principal)
            stage.lists.applyChangeNotice(.resourceUpdated([]), by: try stage.caller().principal)
            #expect(stage.lists.keptCount == 1)
            try await server.untilStream()
            server.push("notifications/tools/list_changed")
            try await stage.until("changed")
            _ = try await Self.list(stage)
            #expect(server.count(of: "tools/list") == 2)
            // Of another replica.
            stage.lists.applyChangeNotice(.toolsListChanged, by: try stage.caller().principal)
            _ = try await Self.list(stage)
            #expect(server.count(of: "tools/list") == 3)
            // Another time to live begins with nothing.
            stage.lists.applySettings(.test(era: .legacy, ttlMs: 0))
            for _ in 0..<2 { _ = try await Self.list(stage) }
            #expect(server.count(of: "tools/list") == 5)
        }
    }

    @Test func aCallLearnsTheToolsFromTheList() async throws {
        try await withLoop { loop in
            let server = try ScriptedMCPServer(on: loop, respond: { $0.answer(#"{"tools":[\#(Self.tool("add"))]}"#) })
            let stage = try SessionStage(on: loop, server)
            let caller = try stage.caller()
            let key = stage.key(try stage.request("tools/list"), of: caller)
            let lease = try await stage.sessions.leaseSession(key, credentials: caller.credentials)
            #expect(lease.session.readyHeaderParameters == nil)
            func parameters() async throws {
                _ = try await stage.lists.headerParameters(
                    for: lease.session, key: key, caller.credentials,
                    ListWaiter(until: .now + .seconds(20), on: loop))
            }
            try await parameters()
            #expect(lease.session.readyHeaderParameters != nil && server.count(of: "tools/list") == 1)
            stage.lists.applyChangeNotice(.toolsListChanged, by: caller.principal)
            server.respond = { $0.fail(-32601) }
            try await parameters()
            stage.lists.applyChangeNotice(.toolsListChanged, by: caller.principal)
            server.respond = { $0.request.peer.socket.close() }
            do {
                try await parameters()
                Issue.record("no error")
            } catch let error as BackendError {
                #expect(error.isBeforeDispatch)
            }
            stage.sessions.releaseLease(lease)
        }
    }

    @Test func whoeverWaitsMayLeave() async throws {
        try await withLoop { loop in
            let server = try ScriptedMCPServer(on: loop, respond: { _ in })
            let stage = try SessionStage(on: loop, server)
            let waiter = ListWaiter(until: .now + .seconds(20), on: loop)
            loop.spawn {
                _ = try? await server.requests(of: "tools/list")
                waiter.cancelWait()
            }
            #expect(try await Self.list(stage, by: waiter) == "failed, cancelled")
            let hasty = ListWaiter(until: .now + .milliseconds(20), on: loop)
            #expect(try await Self.list(stage, by: hasty) == "failed, unavailable")
            // The reading goes on for others, and one that is not shared ends with its client.
            let other = ListWaiter(until: .now + .seconds(20), on: loop)
            loop.spawn {
                await pause(.milliseconds(20), on: loop)
                stage.lists.cancelReadings()
            }
            #expect(try await Self.list(stage, by: other) == "failed, unavailable")
        }
    }

    @Test func aServerThatCannotBeReachedHasNoLists() async throws {
        try await withLoop { loop in
            let server = try ScriptedMCPServer(on: loop)
            server.server.close()
            let stage = try SessionStage(on: loop, server)
            #expect(try await Self.list(stage) == "failed, unavailable")
        }
    }
}
