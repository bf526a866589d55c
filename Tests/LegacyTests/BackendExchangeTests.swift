import HTTPTransport
import HTTPWire
import Reactor
import TestSupport
import Testing

@testable import Legacy

/// One request and its answer, in each order in which they can come about.
@Suite(.timeLimit(.minutes(1))) struct BackendExchangeTests {
    // MARK: Answers

    @Test func aDocumentIsOneMessage() async throws {
        try await PlayedServer.with { it in
            let (exchange, peer) = try await it.ask()
            #expect(!exchange.isSuccess && !exchange.bringsMessages && !exchange.isExhausted)
            peer.write(Wire.head("200 OK", Wire.json, length: 6))
            await it.settle()
            #expect(exchange.status == 200 && exchange.isSuccess && !exchange.isStream && exchange.bringsMessages)
            #expect(exchange.readyMessage() == nil)
            peer.write("one")
            await it.settle()
            #expect(exchange.readyMessage() == nil, "not before its end")
            peer.write("two")
            #expect(await it.read(exchange) == ["onetwo"])
            #expect(exchange.hasDelivered && exchange.isExhausted && exchange.flaw?.kind == nil && it.isKept)
            #expect(exchange.resumption?.lastEventID == nil)
        }
    }

    @Test func aStreamIsAMessageAnEvent() async throws {
        try await PlayedServer.with { it in
            let (exchange, peer) = try await it.ask()
            peer.write(Wire.head("200 OK", Wire.events))
            await it.settle()
            #expect(exchange.isStream && exchange.bringsMessages && exchange.resumption?.lastEventID == nil)
            peer.write(Wire.event("one", id: "7") + Wire.event("two"))
            await it.settle()
            #expect(exchange.readyMessage() == Array("one".utf8))
            #expect(exchange.resumption?.lastEventID == Array("7".utf8))
            #expect(!exchange.isExhausted && !it.isKept)
            peer.write(Wire.event("three") + Wire.chunk("data: cut off\n") + Wire.lastChunk)
            #expect(await it.read(exchange) == ["two", "three"])
            #expect(exchange.isExhausted && it.isKept && exchange.resumption?.lastEventID != nil)
        }
    }

    /// What is no message can be looked at when all of it has come.
    @Test(arguments: ["404 Not Found", "202 Accepted", "200 OK"])
    func anotherAnswerIsABody(status: String) async throws {
        try await PlayedServer.with { it in
            let (exchange, peer) = try await it.ask()
            let fields = status == "200 OK" ? "Content-Type: text/html\r\n" : Wire.json
            // With 202, JSON is a message.
            peer.write(Wire.head(status, status.hasPrefix("2") ? fields.replacing("json", with: "none") : fields))
            peer.write(Wire.chunk(" \r\n ") + Wire.chunk(" a word") + Wire.lastChunk)
            let head = try await exchange.waitForHead()
            #expect(status.hasPrefix("\(head.status)") && exchange.status == head.status)
            #expect(await exchange.waitForBody() == Array("a word".utf8))
            #expect(!exchange.isSuccess && !exchange.bringsMessages && !exchange.hasDelivered && it.isKept)
            #expect(await it.read(exchange) == [])
        }
    }

    @Test func ofALongBodyTheStartIsKept() async throws {
        try await PlayedServer.with { it in
            let (exchange, peer) = try await it.ask()
            let text = String(repeating: "x", count: SessionLoss.maxText + 1)
            peer.write(Wire.answer(text, "500 No", ""))
            #expect(await exchange.waitForBody().count == SessionLoss.maxText)
            // What may be the response is kept to its end.
            let (other, again) = try await it.ask()
            again.write(Wire.answer("{" + text, "500 No", ""))
            #expect(await other.waitForBody() == Array("{\(text)".utf8))
            #expect(it.isKept)
        }
    }

    @Test func aBodyWithoutEndIsLeft() async throws {
        try await PlayedServer.with { it in
            let (exchange, peer) = try await it.ask()
            peer.write(Wire.head("404 Not Found") + Wire.chunk(String(repeating: "\n", count: PlayedServer.maxMessage)))
            await it.settle()
            #expect(!exchange.isExhausted)
            peer.write(Wire.chunk("x"))
            #expect(await exchange.waitForBody() == Array("x".utf8))
            #expect(exchange.isExhausted && exchange.flaw?.kind == nil && !it.isKept)
            try await peer.until("the end") { $0.hasEnded }
        }
    }

    @Test(arguments: [
        Wire.answer(String(repeating: "x", count: PlayedServer.maxMessage + 1)),
        Wire.head("200 OK", Wire.events) + Wire.event(String(repeating: "x", count: PlayedServer.maxMessage)),
        Wire.answer("{}", "200 OK", Wire.json + "Content-Encoding: gzip\r\n"),
    ])
    func whatCannotBeReadIsAnError(answer: String) async throws {
        try await PlayedServer.with { it in
            let (exchange, peer) = try await it.ask()
            peer.write(answer)
            #expect(await it.read(exchange) == .failed(.outcomeUnknown))
            #expect(exchange.isExhausted && !it.isKept)
            try await peer.until("the end") { $0.hasEnded }
        }
    }

    // MARK: Ends

    /// What comes before the connection ends, and what can be read then.
    @Test(
        arguments: [
            ("", [], .noAnswer), ("HTTP/1.1 200", [], .noAnswer), (Wire.head("200 OK", Wire.json), [], .noAnswer),
            (Wire.head("200 OK", Wire.json) + Wire.chunk("{}"), [], .noAnswer),
            (Wire.head("200 OK", Wire.events) + Wire.event("one") + Wire.chunk("data: two\n"), ["one"], .noAnswer),
            (Wire.head("200 OK", Wire.events) + Wire.event("one") + Wire.lastChunk, ["one"], nil),
            (Wire.head("404 Not Found"), [], .noAnswer), (Wire.answer("no", "404 Not Found", ""), [], nil),
            ("nonsense\r\n\r\n", [], .outcomeUnknown),
            (Wire.head("200 OK", Wire.events) + Wire.event("one") + "nonsense\r\n", ["one"], .outcomeUnknown),
        ] as [(String, [String], BackendError.Kind?)])
    func theConnectionEnds(after answer: String, texts: [String], error: BackendError.Kind?) async throws {
        for isReset in [false, true] {
            try await PlayedServer.with { it in
                let (exchange, peer) = try await it.ask()
                peer.write(answer)
                await it.settle()
                if isReset { it.reset(peer) } else { peer.socket.close() }
                await it.settle()
                #expect(await it.read(exchange) == Reading(texts: texts, error: error))
                #expect(exchange.isExhausted && exchange.flaw?.kind == error)
                #expect(
                    await exchange.waitForBody() == (exchange.status == 404 && error == nil ? Array("no".utf8) : []))
                #expect(!it.backend.connections.hasLiveIdle)
            }
        }
    }

    @Test(arguments: [false, true])
    func anAnswerWithoutALengthEndsWithItsConnection(isReset: Bool) async throws {
        try await PlayedServer.with { it in
            let (exchange, peer) = try await it.ask()
            peer.write("HTTP/1.1 200 OK\r\n\(Wire.json)\r\n{}")
            await it.settle()
            #expect(!exchange.isExhausted)
            if isReset { it.reset(peer) } else { peer.socket.close() }
            #expect(await it.read(exchange) == (isReset ? .failed(.noAnswer) : ["{}"]))
            #expect(!it.isKept)
        }
    }

    @Test func whereNobodyListensIsNoServer() async throws {
        try await PlayedServer.with { it in
            it.host.listener.closeListener()
            let exchange = it.exchange()
            await #expect(throws: BackendError.self) { _ = try await exchange.waitForHead() }
            #expect(exchange.flaw?.kind == .unavailable && exchange.isExhausted)
        }
    }

    @Test func whatFollowsAnAnswerIsNoAnswer() async throws {
        try await PlayedServer.with { it in
            let (exchange, peer) = try await it.ask()
            peer.write(Wire.answer("one") + Wire.answer("two"))
            #expect(await it.read(exchange) == ["one"])
            #expect(!it.isKept)
            // Nor is what comes later: it would answer the next request.
            let (other, again) = try await it.ask()
            again.write(Wire.answer("three"))
            #expect(await it.read(other) == ["three"])
            #expect(it.isKept)
            again.write(Wire.answer("four"))
            try await again.until("the end") { $0.hasEnded }
            #expect(await it.read(other) == [] && other.flaw?.kind == nil)
        }
    }

    /// A server may answer before it has read the request.
    @Test func anEarlyAnswerIsOne() async throws {
        try await PlayedServer.with { it in
            let exchange = it.exchange(PlayedServer.request(Array(repeating: 0x20, count: 16_000_000)))
            let peer = try await it.requested()
            peer.socket.pauseReading()
            peer.write(Wire.answer("early"))
            #expect(await it.read(exchange) == ["early"])
            #expect(!it.isKept, "the rest of the request is still on its way")
        }
    }

    // MARK: Time

    @Test func aServerIsSilent() async throws {
        try await PlayedServer.with { it in
            for answer in ["", Wire.head("200 OK", Wire.events), Wire.head("404 Not Found")] {
                let (exchange, peer) = try await it.ask()
                peer.write(answer)
                await it.settle()
                exchange.resumeTimeout(until: .now + .seconds(60), silence: .zero)
                #expect(await it.read(exchange) == .failed(.silent))
                #expect(!it.isKept)
            }
        }
    }

    @Test func anAnswerIsOverdue() async throws {
        try await PlayedServer.with { it in
            for answer in ["", Wire.head("200 OK", Wire.events) + Wire.event("one")] {
                let (exchange, peer) = try await it.ask(patience: .until(.now + .seconds(1)))
                peer.write(answer)
                await it.settle()
                exchange.resumeTimeout(until: .now, silence: nil)
                #expect(await it.read(exchange) == .failed(.overdue, after: answer.isEmpty ? [] : ["one"]))
            }
        }
    }

    @Test func nothingIsExpectedOfAServerThatWaits() async throws {
        try await PlayedServer.with { it in
            let (exchange, peer) = try await it.ask()
            peer.write(Wire.head("200 OK", Wire.events))
            await it.settle()
            exchange.resumeTimeout(until: .now + .milliseconds(20), silence: nil)
            exchange.suspendTimeout()
            await pause(.milliseconds(50), on: it.loop)
            peer.write(Wire.event("one"))
            exchange.heardElsewhere()
            await pause(.milliseconds(50), on: it.loop)
            #expect(exchange.readyMessage() == Array("one".utf8) && exchange.flaw?.kind == nil)
            exchange.resumeTimeout(until: .now, silence: nil)
            #expect(await it.read(exchange) == .failed(.overdue))
        }
    }

    @Test func aStreamOfEventsMayBeSilent() async throws {
        try await PlayedServer.with { it in
            let (exchange, peer) = try await it.ask(patience: .endless)
            peer.write(Wire.head("200 OK", Wire.events))
            await it.settle()
            #expect(!exchange.isExhausted && exchange.isStream)
            exchange.failExchange(with: .clientLeft)
            #expect(await it.read(exchange) == .failed(.cancelled))
            try await peer.until("the end") { $0.hasEnded }
        }
    }

    // MARK: Once more

    @Test func aRequestIsSentOnceMoreOnANewConnection() async throws {
        try await PlayedServer.with { it in
            try await it.warm()
            let (exchange, old) = try await it.ask(isRepeatable: true)
            old.socket.close()
            let new = try await it.requested()
            #expect(new !== old && exchange.isAlone)
            new.write(Wire.answer("one"))
            #expect(await it.read(exchange) == ["one"])
        }
    }

    @Test func aRequestIsSentOnceMoreAndNoMore() async throws {
        try await PlayedServer.with { it in
            try await it.warm()
            let (exchange, old) = try await it.ask(isRepeatable: true)
            old.socket.close()
            try await it.requested().socket.close()
            #expect(await it.read(exchange) == .failed(.noAnswer))
            #expect(!it.hasRequest)
        }
    }

    /// Not where it must not arrive twice, where an answer has begun, or where the connection was new.
    @Test func aRequestIsNotSentOnceMore() async throws {
        try await PlayedServer.with { it in
            for (isWarm, isRepeatable, answer) in [(true, false, ""), (false, true, ""), (true, true, "HTTP")] {
                if isWarm { try await it.warm() }
                let (exchange, peer) = try await it.ask(isRepeatable: isRepeatable)
                peer.write(answer)
                peer.socket.close()
                #expect(await it.read(exchange) == .failed(.noAnswer))
                await it.settle()
                #expect(!it.hasRequest)
            }
        }
    }

    /// What comes on a connection that another session used may be about that one.
    @Test func aConnectionOfAnotherIsKnown() async throws {
        try await PlayedServer.with { it in
            try await it.warm()
            let (own, peer) = try await it.ask()
            #expect(own.isAlone)
            peer.write(Wire.answer("one"))
            await it.settle()
            let other = SessionRoute(to: it.backend)
            let exchange = BackendExchange(
                PlayedServer.request(), by: other, patience: .until(.now + .seconds(60)), isRepeatable: true)
            #expect(!exchange.isAlone)
            try await it.requested().socket.close()
            _ = try await it.requested()
            #expect(exchange.isAlone)
            exchange.failExchange(with: .clientLeft)
        }
    }

    // MARK: Cancellation

    @Test func aCancelledRequestEndsItsConnection() async throws {
        try await PlayedServer.with { it in
            let early = it.exchange()
            early.failExchange(with: .clientLeft)
            #expect(await it.read(early) == .failed(.cancelled))
            await it.settle()
            #expect(!it.hasRequest, "a connection that was asked for is kept for another request")
            for answer in ["", Wire.head("200 OK", Wire.events) + Wire.event("one")] {
                let (exchange, peer) = try await it.ask()
                peer.write(answer)
                await it.settle()
                exchange.failExchange(with: .clientLeft)
                exchange.failExchange(with: .sessionGone)
                #expect(await it.read(exchange) == .failed(.cancelled, after: answer.isEmpty ? [] : ["one"]))
                try await peer.until("the end") { $0.hasEnded }
            }
        }
    }

    @Test func whatHasEndedIsNotCancelled() async throws {
        try await PlayedServer.with { it in
            let (exchange, peer) = try await it.ask()
            peer.write(Wire.answer("one"))
            await it.settle()
            exchange.failExchange(with: .clientLeft)
            #expect(await it.read(exchange) == ["one"])
            #expect(exchange.flaw?.kind == nil && it.isKept)
        }
    }

    /// The session would end with its one connection.
    @Test func aPinnedConnectionIsKept() async throws {
        try await PlayedServer.with(isPinned: true) { it in
            let (exchange, peer) = try await it.ask()
            peer.write(Wire.head("200 OK", Wire.events) + Wire.event("one"))
            await it.settle()
            exchange.failExchange(with: .clientLeft)
            #expect(await it.read(exchange) == .failed(.cancelled))
            #expect(!exchange.isExhausted)
            peer.write(Wire.event("two") + Wire.lastChunk)
            await it.settle()
            #expect(await it.read(exchange) == .failed(.cancelled))
            #expect(exchange.isExhausted && it.isKept && !peer.hasEnded)
            let (next, same) = try await it.ask()
            #expect(same === peer)
            next.failExchange(with: .clientLeft)
            peer.socket.close()
            await it.settle()
            #expect(next.isExhausted && next.flaw?.kind == .cancelled && !it.isKept)
        }
    }

    @Test func theRestOfAnAnswerIsDroppedForAMoment() async throws {
        try await PlayedServer.with { it in
            let (kept, peer) = try await it.ask()
            peer.write(Wire.head("200 OK", Wire.events))
            await it.settle()
            kept.abandonResponse()
            peer.write(Wire.event("one") + Wire.lastChunk)
            await it.settle()
            #expect(kept.readyMessage() == nil && it.isKept)
            let (lost, again) = try await it.ask()
            #expect(again === peer)
            lost.abandonResponse()
            lost.abandonResponse()
            try await peer.until("the end, after a second") { $0.hasEnded }
            #expect(!it.isKept)
        }
    }

    @Test func whoHasAllLeavesNothing() async throws {
        try await PlayedServer.with { it in
            let (exchange, peer) = try await it.ask()
            peer.write(Wire.answer("one"))
            await it.settle()
            exchange.abandonResponse()
            #expect(exchange.readyMessage() == nil && exchange.isExhausted && it.isKept)
            exchange.responseArrivedElsewhere(Array("two".utf8))
            #expect(exchange.readyMessage() == nil)
        }
    }

    /// Nothing is sent for it, and a connection that was asked for is kept for another request.
    @Test func whoLeavesBeforeThereIsAConnectionAsksNothing() async throws {
        try await PlayedServer.with { it in
            let exchange = it.exchange()
            exchange.responseArrivedElsewhere(Array("one".utf8))
            #expect(exchange.readyMessage() == Array("one".utf8))
            exchange.abandonResponse()
            #expect(exchange.isExhausted)
            try await it.host.untilAccepted(1)
            await it.settle()
            #expect(!it.hasRequest && it.isKept)
        }
    }

    // MARK: Another way

    @Test func theResponseComesAnotherWay() async throws {
        try await PlayedServer.with { it in
            // Before there is a connection.
            let early = it.exchange()
            early.responseArrivedElsewhere(Array("one".utf8))
            try await early.waitForBeginning()
            #expect(early.bringsMessages && early.readyMessage() == Array("one".utf8) && !early.hasDelivered)
            let peer = try await it.requested()
            early.responseArrivedElsewhere(Array("two".utf8))
            #expect(early.readyMessage() == nil, "it is taken once")
            // What the server answers all the same is an answer.
            peer.write(Wire.answer("three"))
            #expect(await it.read(early) == ["three"])
        }
    }

    @Test func theResponseIsExpectedAnotherWay() async throws {
        try await PlayedServer.with { it in
            let (exchange, peer) = try await it.ask()
            #expect(!exchange.expectElsewhere(), "the answer is still to come")
            peer.write(Wire.head("202 Accepted", length: 0))
            await it.settle()
            #expect(!exchange.bringsMessages && exchange.isExhausted)
            #expect(exchange.expectElsewhere() && exchange.isExpectedElsewhere && exchange.bringsMessages)
            #expect(!exchange.isExhausted && !exchange.expectElsewhere())
            exchange.responseArrivedElsewhere(Array("one".utf8))
            #expect(!exchange.isExpectedElsewhere)
            exchange.expectElsewhereNoLonger()
            #expect(await it.read(exchange) == ["one"])
            #expect(!exchange.expectElsewhere(), "once")
        }
    }

    @Test func theResponseDoesNotComeAnotherWayEither() async throws {
        try await PlayedServer.with { it in
            for (isOver, expected) in [(false, .overdue), (true, nil)] as [(Bool, BackendError.Kind?)] {
                let (exchange, peer) = try await it.ask()
                peer.write(Wire.head("202 Accepted", length: 0))
                await it.settle()
                exchange.expectElsewhereNoLonger()
                #expect(exchange.expectElsewhere())
                exchange.heardElsewhere()
                await it.settle()
                #expect(!exchange.isExhausted)
                if isOver {
                    exchange.expectElsewhereNoLonger()
                } else {
                    exchange.resumeTimeout(until: .now, silence: nil)
                }
                #expect(await it.read(exchange) == Reading(texts: [], error: expected))
                #expect(exchange.isExhausted && !exchange.isExpectedElsewhere && !exchange.expectElsewhere())
                exchange.heardElsewhere()
                await it.settle()
                #expect(exchange.flaw?.kind == expected)
            }
        }
    }

    @Test func whatIsExpectedAnotherWayIsCancelled() async throws {
        for isPinned in [false, true] {
            try await PlayedServer.with(isPinned: isPinned) { it in
                let (exchange, peer) = try await it.ask()
                peer.write(Wire.head("202 Accepted", length: 0))
                await it.settle()
                #expect(exchange.expectElsewhere())
                exchange.failExchange(with: .clientLeft)
                exchange.responseArrivedElsewhere(Array("late".utf8))
                #expect(await it.read(exchange) == .failed(.cancelled))
                #expect(it.isKept)
            }
        }
    }

    @Test func nothingIsExpectedForWhoHasLeft() async throws {
        try await PlayedServer.with { it in
            let (exchange, peer) = try await it.ask()
            peer.write(Wire.head("202 Accepted", length: 0))
            await it.settle()
            #expect(exchange.expectElsewhere())
            exchange.responseArrivedElsewhere(Array("one".utf8))
            #expect(exchange.readyMessage() == Array("one".utf8))
            exchange.abandonResponse()
            #expect(exchange.isExhausted && !exchange.isExpectedElsewhere)
        }
    }

    // MARK: Readers

    @Test func aReaderIsToldOnceOfWhatItCanUse() async throws {
        try await PlayedServer.with { it in
            let reader = CountingReader()
            let (exchange, peer) = try await it.ask()
            #expect(exchange.notifyReader(reader))
            peer.write(Wire.head("200 OK", Wire.events))
            await it.settle()
            #expect(reader.told == 0, "it can make nothing of a head")
            peer.write(Wire.event("one") + Wire.event("two"))
            await it.settle()
            #expect(reader.told == 1 && !exchange.notifyReader(reader))
            while exchange.readyMessage() != nil {}
            #expect(exchange.notifyReader(reader))
            peer.write(Wire.lastChunk)
            await it.settle()
            #expect(reader.told == 2 && !exchange.notifyReader(reader))
        }
    }

    @Test(arguments: [Wire.head("404 Not Found"), Wire.head("200 OK", "Content-Type: text/html\r\n"), ""])
    func aReaderIsToldOfWhatIsNoMessage(answer: String) async throws {
        try await PlayedServer.with { it in
            let reader = CountingReader()
            let (exchange, peer) = try await it.ask()
            #expect(exchange.notifyReader(reader))
            peer.write(answer)
            if answer.isEmpty { peer.socket.close() }
            await it.settle()
            #expect(reader.told == 1 && !exchange.notifyReader(reader))
            // It hands over to a task, which asks for the head.
            if answer.isEmpty {
                await #expect(throws: BackendError.self) { _ = try await exchange.waitForHead() }
            } else {
                #expect(try await exchange.waitForHead().status == exchange.status)
            }
            exchange.failExchange(with: .clientLeft)
        }
    }

    @Test func aReaderHasATurnAfterTheOthers() async throws {
        try await PlayedServer.with { it in
            let (exchange, peer) = try await it.ask()
            let events = (0..<100).map { Wire.event("\($0)") }.joined()
            peer.write(Wire.head("200 OK", Wire.events) + events + Wire.lastChunk)
            await it.settle()
            var count = 0
            while exchange.readyMessage() != nil { count += 1 }
            #expect(count == 64)
            #expect(await it.read(exchange).texts == (64..<100).map { "\($0)" })
        }
    }

    @Test func aServerWaitsForASlowReader() async throws {
        try await PlayedServer.with(streamBuffer: 500) { it in
            let (exchange, peer) = try await it.ask()
            let text = String(repeating: "x", count: 200)
            peer.write(Wire.head("200 OK", Wire.events) + Wire.event(text) + Wire.event(text))
            await it.settle()
            peer.write(Wire.event("late") + Wire.lastChunk)
            exchange.resumeTimeout(until: .now + .seconds(60), silence: .zero)
            await it.settle()
            #expect(exchange.flaw?.kind == nil, "its silence is no fault of its own")
            #expect(exchange.readyMessage() == Array(text.utf8))
            #expect(exchange.readyMessage() == Array(text.utf8))
            #expect(exchange.readyMessage() == nil)
            exchange.resumeTimeout(until: .now + .seconds(60), silence: nil)
            #expect(await it.read(exchange) == ["late"])
            #expect(it.isKept)
        }
    }

    /// The connection is read on, whatever becomes of the exchange.
    @Test func aSlowReaderLeaves() async throws {
        for isPinned in [false, true] {
            try await PlayedServer.with(isPinned: isPinned, streamBuffer: 1) { it in
                let (exchange, peer) = try await it.ask()
                peer.write(Wire.head("200 OK", Wire.events) + Wire.event("one"))
                await it.settle()
                peer.write(Wire.event("two") + Wire.lastChunk)
                await it.settle()
                if isPinned { exchange.failExchange(with: .clientLeft) } else { exchange.abandonResponse() }
                await it.settle()
                #expect(it.isKept && exchange.isExhausted)
                // The end may have come with what it was held for.
                let (whole, same) = try await it.ask()
                #expect(same === peer)
                peer.write(Wire.head("200 OK", Wire.events) + Wire.event("one") + Wire.lastChunk)
                #expect(await it.read(whole) == ["one"])
                let (next, _) = try await it.ask()
                peer.write(Wire.answer("three"))
                #expect(await it.read(next) == ["three"])
            }
        }
    }
}
