import Crypto
import HTTPTransport
import JSONText
import Legacy
import MCP
import Reactor
import TestSupport
import Testing
import Translation

@testable import Gateway

/// A client that listens.
private final class Listener {
    let client: Peer
    let subscription: Subscription
    private(set) var outcome = ""
    private let begun = Wakeup()
    private let responder: Responder
    private let clientRequest: ClientRequest

    /// Begins to listen as a gateway has it done.
    ///
    /// - Parameter notifications: the filter, as JSON.
    init(
        _ stage: SessionStage, _ notifications: String, id: String = #""sub""#, as token: String = "A"
    ) async throws {
        (client, responder) = try await stage.front.connect()
        client.write(Front.request)
        guard let clientRequest = await stage.front.next(on: responder) else { throw NoHead() }
        self.clientRequest = clientRequest
        let request = try stage.request(
            "subscriptions/listen", params: #""notifications":\#(notifications),"#, id: id)
        let caller = try stage.caller(token)
        subscription = Subscription(id: Array(request.rawID), to: responder)
        responder.beginResponse(for: subscription)
        stage.loop.spawn { [self] in
            switch await stage.subscriptions.beginSubscription(request, from: caller, subscription) {
            case .refused(let refusal): end("refused \(refusal.code)")
            case .failed(let error): end("failed, \(error.kind)")
            case .begun(let place):
                outcome = "begun"
                begun.signal()
                await subscription.runSubscription()
                place.leaveChannel()
                if let result = subscription.result {
                    clientRequest.finishRequest(
                        .answered(ModernResponse(status: 200, text: SplicedText(result), code: nil)))
                } else {
                    clientRequest.finishRequest(.abandoned)
                }
            }
        }
        try await eventually("the beginning", on: stage.loop, begun) { outcome != "" }
    }

    private func end(_ outcome: String) {
        self.outcome = outcome
        clientRequest.finishRequest(.empty(HTTPResponse(status: 299)))
        begun.signal()
    }

    /// Waits until a message with these parts has come.
    func hears(_ parts: String...) async throws {
        try await client.until("\(parts)") { peer in
            peer.text.split(separator: "\n\n").contains { event in parts.allSatisfy { event.contains($0) } }
        }
    }

    func count(of part: String) -> Int { client.text.ranges(of: part).count }
}

@Suite(.timeLimit(.minutes(5))) struct SubscriptionsTests {
    private static let acknowledged = "notifications/subscriptions/acknowledged"

    @Test func aListenerHearsOfWhatTheServerHonours() async throws {
        try await withLoop { loop in
            let server = try ScriptedMCPServer(on: loop) { call in
                call.uri == "a:/refused" ? call.fail(-32002) : call.answer("{}")
            }
            let stage = try SessionStage(on: loop, server)
            let listener = try await Listener(
                stage,
                #"{"toolsListChanged":true,"promptsListChanged":true,"resourceSubscriptions":["a:/x","a:/refused"]}"#)
            try await listener.hears(
                Self.acknowledged, #"{"toolsListChanged":true,"resourceSubscriptions":["a:/x"]}"#, #""sub""#)
            server.push("notifications/tools/list_changed")
            try await listener.hears("notifications/tools/list_changed", #""sub""#)
            server.push("notifications/resources/updated", #"{"uri":"a:/x"}"#)
            try await listener.hears("notifications/resources/updated", #""a:/x""#)
            server.push("notifications/prompts/list_changed")
            server.push("notifications/resources/updated", #"{"uri":"a:/other"}"#)
            // One of the same principal at another replica.
            stage.subscriptions.applyChangeNotice(
                .resourceUpdated(Array("a:/x/below".utf8)), by: try stage.caller().principal)
            stage.subscriptions.applyChangeNotice(.toolsListChanged, by: try stage.caller("B").principal)
            try await listener.hears("a:/x/below")
            await pause(.milliseconds(150), on: loop)
            #expect(listener.count(of: "prompts/list_changed") == 0 && listener.count(of: "a:/other") == 0)
            #expect(listener.count(of: "tools/list_changed\"") == 1)
            #expect(stage.subscriptions.count == 1 && listener.subscription.notices == 3)
        }
    }

    @Test func whatTheServerRefusesIsNotToldAfterwards() async throws {
        try await withLoop { loop in
            let server = try ScriptedMCPServer(on: loop)
            let stage = try SessionStage(on: loop, server)
            let principal = try stage.caller().principal
            server.respond = { call in
                // While the server is asked, both change.
                for uri in ["a:/x", "a:/refused"] {
                    stage.subscriptions.applyChangeNotice(.resourceUpdated(Array(uri.utf8)), by: principal)
                }
                if call.uri == "a:/refused" { call.fail(-32002) } else { call.answer("{}") }
            }
            let listener = try await Listener(stage, #"{"resourceSubscriptions":["a:/x","a:/refused"]}"#)
            try await listener.hears(Self.acknowledged, #"{"resourceSubscriptions":["a:/x"]}"#)
            try await listener.hears("notifications/resources/updated", #""a:/x""#)
            await pause(.milliseconds(150), on: loop)
            #expect(listener.count(of: "a:/refused") == 0)
        }
    }

    /// What was told before the acknowledgment was too much to be kept: the client reads again whatever it listens to.
    @Test func manyChangesBeforeTheAcknowledgmentAreToldAsOne() async throws {
        try await withLoop { loop in
            let server = try ScriptedMCPServer(on: loop)
            let stage = try SessionStage(on: loop, server)
            let principal = try stage.caller().principal
            server.respond = { call in
                stage.subscriptions.applyChangeNotice(.toolsListChanged, by: principal)
                for number in 0..<100 {
                    stage.subscriptions.applyChangeNotice(
                        .resourceUpdated(Array("a:/x/\(number)".utf8)), by: principal)
                }
                call.answer("{}")
            }
            let listener = try await Listener(
                stage, #"{"toolsListChanged":true,"resourceSubscriptions":["a:/x","a:/y"]}"#)
            try await listener.hears("notifications/resources/updated", #""uri":"a:/x""#)
            try await listener.hears("notifications/resources/updated", #""uri":"a:/y""#)
            try await listener.hears("notifications/tools/list_changed")
        }
    }

    @Test func aBurstIsToldTwice() async throws {
        try await withLoop { loop in
            let server = try ScriptedMCPServer(on: loop)
            let stage = try SessionStage(on: loop, server)
            let listener = try await Listener(stage, #"{"toolsListChanged":true}"#)
            for _ in 0..<20 { server.push("notifications/tools/list_changed") }
            try await listener.client.until("both") { _ in listener.count(of: "tools/list_changed\"") == 2 }
            await pause(.milliseconds(250), on: loop)
            #expect(listener.count(of: "tools/list_changed\"") == 2)
        }
    }

    @Test func listenersOfACallerShareASession() async throws {
        try await withLoop { loop in
            let server = try ScriptedMCPServer(on: loop, respond: { $0.answer("{}") })
            let stage = try SessionStage(on: loop, server)
            let filter = #"{"resourceSubscriptions":["a:/x"]}"#
            let first = try await Listener(stage, filter, id: "1")
            let second = try await Listener(stage, filter, id: "2")
            let other = try await Listener(stage, filter, id: "3", as: "B")
            #expect(server.sessions == 2 && server.count(of: "resources/subscribe") == 2)
            #expect(stage.subscriptions.count == 3)
            first.client.socket.close()
            try await second.hears(Self.acknowledged)
            server.push("notifications/resources/updated", #"{"uri":"a:/x"}"#)
            try await second.hears("resources/updated", #"subscriptionId":2"#)
            try await other.hears("resources/updated", #"subscriptionId":3"#)
            #expect(stage.subscriptions.count == 2)
        }
    }

    @Test func whatCannotBeBegunIsRefused() async throws {
        try await withLoop { loop in
            let server = try ScriptedMCPServer(on: loop)
            let stage = try SessionStage(on: loop, server)
            for filter in ["[]", #"{"toolsListChanged":1}"#, #"{"resourceSubscriptions":[1]}"#] {
                #expect(try await Listener(stage, filter).outcome == "refused -32602")
            }
            let long = "\"" + String(repeating: "x", count: 2000) + "\""
            #expect(try await Listener(stage, "{}", id: long).outcome == "refused -32602")
            let many = (0...1000).map { #""a:/\#($0)""# }.joined(separator: ",")
            #expect(try await Listener(stage, #"{"resourceSubscriptions":[\#(many)]}"#).outcome == "refused -32602")
            #expect(server.sessions == 0 && stage.subscriptions.count == 0)
            server.server.close()
            await pause(.milliseconds(20), on: loop)
            #expect(try await Listener(stage, #"{"toolsListChanged":true}"#).outcome == "failed, unavailable")
        }
    }

    @Test func aServerWithoutAStreamTellsNothing() async throws {
        try await withLoop { loop in
            let server = try ScriptedMCPServer(on: loop)
            server.hasStreams = false
            let stage = try SessionStage(on: loop, server)
            let listener = try await Listener(
                stage, #"{"toolsListChanged":true,"resourceSubscriptions":["a:/x"]}"#)
            try await listener.hears(Self.acknowledged, #""notifications":{}"#)
            #expect(server.count(of: "resources/subscribe") == 0)
        }
    }

    @Test func aLostSessionIsReplacedAndWhatWasMissedIsTold() async throws {
        try await withLoop { loop in
            let server = try ScriptedMCPServer(on: loop, respond: { $0.answer("{}") })
            let stage = try SessionStage(on: loop, server)
            let listener = try await Listener(
                stage, #"{"toolsListChanged":true,"resourceSubscriptions":["a:/x"]}"#)
            try await listener.hears(Self.acknowledged)
            #expect(server.sessions == 1)
            server.lost.insert("s1")
            // The stream ends, and the server knows its session no more when it is asked for another.
            for peer in server.streams { peer.socket.close() }
            try await listener.hears("notifications/tools/list_changed")
            try await listener.hears("notifications/resources/updated", "a:/x")
            #expect(server.sessions == 2 && server.count(of: "resources/subscribe") == 2)
            #expect(stage.events.contains("ended"))
            await pause(.milliseconds(250), on: loop)
            let before = listener.count(of: "resources/updated\"")
            server.push("notifications/resources/updated", #"{"uri":"a:/x"}"#)
            try await listener.client.until("the next") { _ in listener.count(of: "resources/updated\"") > before }
        }
    }

    @Test(arguments: [("503 Service Unavailable", false), ("401 Unauthorized", true)])
    func aServerThatRefusesIsTriedAgainUnlessTheCallerMayNot(_ status: String, _ ends: Bool) async throws {
        try await withLoop { loop in
            let server = try ScriptedMCPServer(on: loop, respond: { $0.answer("{}") })
            let stage = try SessionStage(on: loop, server)
            let listener = try await Listener(stage, #"{"toolsListChanged":true}"#)
            try await listener.hears(Self.acknowledged)
            server.refusal = status
            server.lost.insert("s1")
            for peer in server.streams { peer.socket.close() }
            try await server.requests(of: "initialize", count: ends ? 2 : 3)
            if ends {
                try await listener.hears(#""resultType":"complete""#)
            } else {
                server.refusal = nil
                try await listener.hears("notifications/tools/list_changed")
                #expect(server.sessions == 2)
            }
        }
    }

    @Test func resourcesOfSeveralListenersAreKeptApart() async throws {
        try await withLoop { loop in
            let server = try ScriptedMCPServer(on: loop)
            var waiting: [ScriptedMCPServer.Call] = []
            server.respond = { call in
                if call.uri == "a:/slow" { waiting.append(call) } else { call.answer("{}") }
            }
            let stage = try SessionStage(on: loop, server)
            loop.spawn {
                _ = try? await server.server.inbox.requests("slow") { $0.body.contains("a:/slow") }
                await pause(.milliseconds(20), on: loop)
                for call in waiting { call.answer("{}") }
            }
            // Both wait for one answer of the server.
            let first = try await Listener(stage, #"{"resourceSubscriptions":["a:/b","a:/d","a:/slow"]}"#, id: "1")
            let second = try await Listener(stage, #"{"resourceSubscriptions":["a:/slow","a:/c","a:/a"]}"#, id: "2")
            try await second.hears(Self.acknowledged, "a:/slow", "a:/c", "a:/a")
            #expect(server.count(of: "resources/subscribe") == 5)
            for uri in ["a:/b", "a:/c", "a:/slow"] {
                server.push("notifications/resources/updated", #"{"uri":"\#(uri)"}"#)
            }
            try await first.hears("resources/updated", "a:/b")
            try await first.hears("resources/updated", "a:/slow")
            try await second.hears("resources/updated", "a:/c")
            try await second.hears("resources/updated", "a:/slow")
            #expect(first.count(of: #"updated","params":{"uri":"a:/c""#) == 0)
        }
    }

    @Test func theEndOfAGatewayIsToldToItsListeners() async throws {
        try await withLoop { loop in
            let server = try ScriptedMCPServer(on: loop, respond: { $0.answer("{}") })
            let stage = try SessionStage(on: loop, server)
            let listener = try await Listener(stage, #"{"toolsListChanged":true}"#)
            try await listener.hears(Self.acknowledged)
            stage.subscriptions.drainSubscriptions()
            try await listener.hears(#""resultType":"complete""#, #""sub""#)
            try await listener.client.until("the end") { $0.text.hasSuffix("0\r\n\r\n") }
            #expect(stage.subscriptions.count == 0)
            // One that begins now ends at once.
            let late = try await Listener(stage, #"{"toolsListChanged":true}"#)
            try await late.client.until("the end") { $0.text.hasSuffix("0\r\n\r\n") }
            #expect(late.count(of: #""resultType":"complete""#) == 1)
        }
    }

    @Test func aSlowClientHearsOfEachThingOnce() async throws {
        try await withLoop { loop in
            let server = try ScriptedMCPServer(on: loop, respond: { $0.answer("{}") })
            let stage = try SessionStage(on: loop, server)
            let listener = try await Listener(stage, #"{"resourceSubscriptions":["a:/x"]}"#)
            try await listener.hears(Self.acknowledged)
            listener.client.socket.pauseReading()
            let uri = "a:/x/" + String(repeating: "y", count: 6000)
            // As much as the connection takes, and more.
            for number in 0..<6000 {
                stage.subscriptions.applyChangeNotice(
                    .resourceUpdated(Array("\(uri)\(number)".utf8)), by: try stage.caller().principal)
            }
            let sent = listener.subscription.notices
            #expect(sent < 6000)
            listener.client.socket.resumeReading()
            for _ in 0..<500 where listener.subscription.notices == sent { await pause(.milliseconds(20), on: loop) }
            // Too many different ones: the resource itself is named in their place.
            var received = -1
            for _ in 0..<50 where received != listener.client.bytes.count {
                received = listener.client.bytes.count
                await pause(.milliseconds(200), on: loop)
            }
            let resource = Array(#""uri":"a:/x","#.utf8)
            let last = listener.client.bytes.suffix(1 << 20)
            #expect(last.indices.contains { last[$0...].starts(with: resource) })
            #expect((sent + 1...sent + 70).contains(listener.subscription.notices))
        }
    }
}
