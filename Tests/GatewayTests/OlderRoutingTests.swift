import JSONText
import Legacy
import MCP
import Testing

@testable import Gateway

/// Where the messages of a server go in a session of an older client.
@Suite struct OlderRoutingTests {
    private static func message(_ text: String) throws -> CarriedMessage {
        try #require(CarriedMessage(try JSONDocument(Array(text.utf8))))
    }

    private static func id(_ text: String) throws -> MessageID {
        let document = try JSONDocument(Array(text.utf8))
        return try #require(MessageID(document.root, in: document))
    }

    private static func request(_ id: String, token: String? = nil) throws -> OlderRouting.Request {
        OlderRouting.Request(
            id: try Self.id(id), rawID: Array(id.utf8), progressToken: try token.map { try Self.id($0) })
    }

    private static func routing(kept: Int = 3, bytes: Int = 1000) -> OlderRouting {
        OlderRouting(maxKept: kept, maxKeptBytes: bytes)
    }

    private static let log = #"{"jsonrpc":"2.0","method":"notifications/message","params":{"data":1}}"#

    private static func answer(_ id: String) -> String { #"{"jsonrpc":"2.0","id":\#(id),"result":{}}"# }

    private static func question(_ id: Int) -> String { #"{"jsonrpc":"2.0","id":\#(id),"method":"roots/list"}"# }

    @Test func aResponseEndsTheStreamOfItsRequest() throws {
        var routing = Self.routing()
        let one = try #require(routing.openResponse([try Self.request("1")])).stream
        let two = try #require(routing.openResponse([try Self.request(#""1""#)])).stream
        #expect(
            routing.routeMessage(try Self.message(Self.answer(#""1""#))) == [
                .finish(Array(Self.answer(#""1""#).utf8), on: two)
            ])
        #expect(
            routing.routeMessage(try Self.message(Self.answer("1"))) == [.finish(Array(Self.answer("1").utf8), on: one)]
        )
        #expect(routing.routeMessage(try Self.message(Self.answer("1"))).isEmpty, "nobody waits for it")
        #expect(routing.isQuiet)
    }

    @Test func anIDMayBeSpelledTheOtherWay() throws {
        var routing = Self.routing()
        let stream = try #require(routing.openResponse([try Self.request("7", token: "8")])).stream
        let progress = #"{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":"8"}}"#
        #expect(routing.routeMessage(try Self.message(progress)) == [.send(Array(progress.utf8), on: stream)])
        #expect(
            routing.routeMessage(try Self.message(Self.answer(#""7""#))) == [
                .finish(Array(Self.answer(#""7""#).utf8), on: stream)
            ])
    }

    @Test func aBatchEndsWithItsLastResponse() throws {
        var routing = Self.routing()
        let stream = try #require(routing.openResponse([try Self.request("1"), try Self.request("2")])).stream
        #expect(routing.onlyStream(ofOnly: try Self.id("1")) == nil)
        #expect(
            routing.routeMessage(try Self.message(Self.answer("2"))) == [
                .send(Array(Self.answer("2").utf8), on: stream)
            ])
        #expect(routing.onlyStream(ofOnly: try Self.id("1")) == stream)
        #expect(
            routing.routeMessage(try Self.message(Self.answer("1"))) == [
                .finish(Array(Self.answer("1").utf8), on: stream)
            ])
    }

    @Test func anIDIsUsedOnceAtATime() throws {
        var routing = Self.routing()
        let stream = try #require(routing.openResponse([try Self.request("1")])).stream
        #expect(routing.openResponse([try Self.request("1")]) == nil)
        #expect(routing.openResponse([try Self.request("2"), try Self.request("2")]) == nil)
        #expect(routing.closeStream(stream).count == 1)
        // The response to the first may still come.
        #expect(routing.openResponse([try Self.request("1")]) == nil)
        #expect(routing.routeMessage(try Self.message(Self.answer("1"))) == [])
        #expect(routing.openResponse([try Self.request("1")]) != nil)
    }

    @Test func whatBelongsToNoRequestGoesToTheOnlyOneOrToWhoListens() throws {
        var routing = Self.routing()
        let text = Array(Self.log.utf8)
        let message = try Self.message(Self.log)
        let one = try #require(routing.openResponse([try Self.request("1")])).stream
        #expect(routing.routeMessage(message) == [.send(text, on: one)])
        let two = try #require(routing.openResponse([try Self.request("2")])).stream
        #expect(routing.routeMessage(message) == [.send(text, on: two)], "the youngest")
        let listening = routing.openListening().stream
        #expect(routing.routeMessage(message) == [.send(text, on: listening)])
        routing.closeStream(one)
        #expect(routing.routeMessage(message) == [.send(text, on: two)])
        routing.closeStream(two)
        #expect(routing.routeMessage(message) == [.send(text, on: listening)])
        routing.closeStream(listening)
        #expect(routing.routeMessage(message).isEmpty && routing.isQuiet)
    }

    @Test func progressOfWhatIsOverIsForNobody() throws {
        var routing = Self.routing()
        _ = routing.openListening()
        let stream = try #require(routing.openResponse([try Self.request("1", token: #""t""#)])).stream
        let progress = #"{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":"t"}}"#
        #expect(routing.routeMessage(try Self.message(progress)) == [.send(Array(progress.utf8), on: stream)])
        routing.closeStream(stream)
        #expect(routing.routeMessage(try Self.message(progress)).isEmpty)
    }

    @Test func whatWaitsIsSentToTheFirstStream() throws {
        var routing = Self.routing()
        for number in 1...2 { #expect(routing.routeMessage(try Self.message(Self.question(number))).isEmpty) }
        let (stream, steps) = routing.openListening()
        #expect(steps == [1, 2].map { .send(Array(Self.question($0).utf8), on: stream) })
        #expect(routing.openListening().steps.isEmpty)
    }

    @Test func notificationsMakeRoomFirst() throws {
        var routing = Self.routing()
        #expect(routing.routeMessage(try Self.message(Self.question(1))).isEmpty)
        for _ in 0..<5 { #expect(routing.routeMessage(try Self.message(Self.log)).isEmpty) }
        #expect(routing.routeMessage(try Self.message(Self.question(2))).isEmpty)
        #expect(routing.routeMessage(try Self.message(Self.question(3))).isEmpty)
        #expect(routing.routeMessage(try Self.message(Self.question(4))) == [.refuse(Array("1".utf8))])
        #expect(routing.routeMessage(try Self.message(Self.log)).isEmpty, "it is the one that goes")
        let (stream, steps) = routing.openListening()
        #expect(steps == [2, 3, 4].map { .send(Array(Self.question($0).utf8), on: stream) })
    }

    @Test func whatWaitsIsBoundedInBytes() throws {
        var routing = Self.routing(kept: 100, bytes: 150)
        for _ in 0..<10 { #expect(routing.routeMessage(try Self.message(Self.log)).isEmpty) }
        #expect(routing.openListening().steps.count == 2)
        let long = #"{"jsonrpc":"2.0","method":"x","params":{"a":"\#(String(repeating: "x", count: 200))"}}"#
        var other = Self.routing(kept: 100, bytes: 150)
        #expect(other.routeMessage(try Self.message(long)).isEmpty)
        #expect(other.openListening().steps.isEmpty)
    }

    @Test func theOldestOfTooManyListenersEnds() {
        var routing = Self.routing()
        let first = routing.openListening().stream
        for _ in 1..<OlderRouting.maxListening { #expect(routing.openListening().steps.isEmpty) }
        #expect(routing.openListening().steps == [.end(first)])
        #expect(routing.closeStream(first).isEmpty)
    }
}
