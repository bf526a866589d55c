import HTTPWire
import Reactor
import TestSupport
import Testing

@testable import HTTPTransport

/// A server on a loop that answers each request with its own path and body, and notes what came.
final class EchoServer {
    let listener: Listener
    private(set) var arrivals: [String] = []
    private(set) var connections: [HTTPServerConnection] = []
    private(set) var ended = 0
    /// Takes requests, with what their connection is told when they are over.
    var take: ((HTTPServerRequest, HTTPServerConnection) -> Bool)?
    /// Looks at each head.
    var judge: ((HTTPRequestHead) -> HTTPResponse?)?
    /// Makes the answer; without it the request is echoed.
    var onRequest: ((HTTPServerRequest, HTTPServerConnection) async -> Void)?
    private let loop: Loop
    private let limits: HTTPServerConnection.Limits
    private let changed = Wakeup()

    init(on loop: Loop, limits: HTTPServerConnection.Limits = .test()) throws {
        guard let any = SocketAddress(host: "127.0.0.1", port: 0) else { preconditionFailure("no address") }
        self.loop = loop
        self.limits = limits
        listener = try Listener(on: loop, address: any, maxConnections: 100, shared: false)
        listener.startAccepting { [unowned self] socket in
            let connection = HTTPServerConnection(socket, on: loop, limits: limits)
            connections.append(connection)
            loop.spawn { await self.serve(connection) }
        }
    }

    private func serve(_ connection: HTTPServerConnection) async {
        connection.onHead = judge
        if let take { connection.onRequest = { [unowned connection] in take($0, connection) ? .taken : .left } }
        while true {
            let arrival = await connection.nextArrival()
            switch arrival {
            case .closed:
                ended += 1
                return changed.signal()
            case .flawed(let flaw):
                note(flawed: flaw)
                connection.respond(HTTPResponse(status: 400, closes: true))
            case .request(let request):
                arrivals.append(
                    "\(request.head.targetString) \(String(decoding: request.body.prefix(100), as: UTF8.self))")
                changed.signal()
                if let onRequest {
                    await onRequest(request, connection)
                } else {
                    connection.respond(
                        HTTPResponse(status: 200, contentType: "text/plain"),
                        body: Parts(slices: [request.head.target, request.body[...]]))
                }
            }
        }
    }

    private func note(flawed flaw: HTTPRequestFlaw) {
        switch flaw {
        case .malformed(let error): arrivals.append("malformed \(error.reason)")
        case .bodyTooLarge: arrivals.append("body too large")
        case .timedOut: arrivals.append("timed out")
        }
        changed.signal()
    }

    func until(_ what: String, _ condition: () -> Bool) async throws {
        try await eventually("\(what); \(arrivals), \(ended) ended", on: loop, changed) { condition() }
    }

    func client() async throws -> Peer { try await Peer.connect(to: listener.address, on: loop) }
}

extension HTTPServerConnection.Limits {
    static func test(
        maxBody: Int = 100_000, header: Duration = .seconds(10), body: Duration = .seconds(10),
        idle: Duration = .seconds(10)
    ) -> Self {
        Self(maxBody: maxBody, headerTimeout: header, bodyTimeout: body, idleTimeout: idle)
    }
}

@Suite(.timeLimit(.minutes(1))) struct ServerConnectionTests {
    private static func post(_ path: String, _ body: String, _ fields: String = "") -> String {
        "POST \(path) HTTP/1.1\r\nHost: h\r\n\(fields)Content-Length: \(body.utf8.count)\r\n\r\n\(body)"
    }

    private static func answer(_ body: String, _ fields: String = "") -> String {
        "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: \(body.utf8.count)\r\n\(fields)\r\n\(body)"
    }

    // MARK: Requests

    @Test func requestsFollowEachOther() async throws {
        try await withLoop { loop in
            let server = try EchoServer(on: loop)
            let client = try await server.client()
            for number in 0..<5 {
                client.clear()
                client.write(Self.post("/\(number)", "body"))
                try await client.until("answer \(number)") { $0.text == Self.answer("/\(number)body") }
            }
            #expect(server.connections.count == 1)
        }
    }

    /// RFC 9110 §9.3.2: a client that sent HEAD would take a body for the next answer.
    @Test func theAnswerToHeadHasNoBody() async throws {
        try await withLoop { loop in
            let server = try EchoServer(on: loop)
            let client = try await server.client()
            client.write("HEAD /head HTTP/1.1\r\nHost: h\r\n\r\n" + Self.post("/next", "x"))
            let head = Self.answer("/head").dropLast("/head".count)
            let expected = head + Self.answer("/nextx")
            try await client.until("two answers") { $0.bytes.count >= expected.utf8.count }
            #expect(client.text == expected)
        }
    }

    @Test func whatIsTakenIsAnsweredInOrderWithWhatIsNot() async throws {
        try await withLoop { loop in
            let server = try EchoServer(on: loop)
            server.take = { request, connection in
                guard request.head.targetString == "/taken" else { return false }
                loop.spawn {
                    connection.respond(
                        HTTPResponse(status: 200, contentType: "text/plain"),
                        body: Parts(slices: [request.head.target, request.body[...]]))
                    connection.requestServed()
                }
                return true
            }
            let client = try await server.client()
            client.write(Self.post("/taken", "1") + Self.post("/taken", "2") + Self.post("/left", "3"))
            client.write(Self.post("/taken", "4"))
            let expected = ["/taken1", "/taken2", "/left3", "/taken4"].map { Self.answer($0) }.joined()
            try await client.until("four answers") { $0.bytes.count >= expected.utf8.count }
            #expect(client.text == expected)
            #expect(server.arrivals == ["/left 3"])
        }
    }

    @Test func whoLeavesWhileItsRequestIsTakenIsTold() async throws {
        try await withLoop { loop in
            let server = try EchoServer(on: loop)
            let taken = Wakeup()
            var isTaken = false
            var isGone = false
            server.take = { _, connection in
                isTaken = true
                taken.signal()
                connection.onDisconnect = {
                    isGone = true
                    connection.requestServed()
                }
                return true
            }
            let client = try await server.client()
            client.write(Self.post("/", ""))
            try await eventually("the request", on: loop, taken) { isTaken }
            client.socket.close()
            try await server.until("the end") { server.ended == 1 }
            #expect(isGone)
        }
    }

    @Test func pipelinedRequestsAreAnsweredInOrder() async throws {
        try await withLoop { loop in
            let server = try EchoServer(on: loop)
            let client = try await server.client()
            client.write((0..<50).map { Self.post("/\($0)", "x") }.joined())
            let expected = (0..<50).map { Self.answer("/\($0)x") }.joined()
            try await client.until("fifty answers") { $0.bytes.count >= expected.utf8.count }
            #expect(client.text == expected)
        }
    }

    /// What is pipelined behind a request that takes long is not read without end.
    @Test func aPipelinerHasToWait() async throws {
        try await withLoop { loop in
            let server = try EchoServer(on: loop, limits: .test(maxBody: 30_000_000))
            let release = Wakeup()
            server.onRequest = { request, connection in
                if request.head.targetString == "/first" { await release.wait() }
                connection.respond(HTTPResponse(status: 204))
            }
            let client = try await server.client()
            client.write(Self.post("/first", ""))
            try await server.until("the first") { server.arrivals.count == 1 }
            client.write(Self.post("/second", String(repeating: "x", count: 20_000_000)))
            // What the kernel holds leaves soon; then nothing moves.
            await pause(.milliseconds(100), on: loop)
            let unsent = client.socket.unsentBytes
            await pause(.milliseconds(100), on: loop)
            #expect(unsent > 1_000_000, "the server took what it had no room for")
            #expect(client.socket.unsentBytes == unsent, "the server goes on reading")
            release.signal()
            try await server.until("the second") { server.arrivals.count == 2 }
            #expect(client.socket.unsentBytes == 0)
        }
    }

    /// What was kept of a request is decoded in several turns: small chunks take long.
    @Test func aPipelinedRequestOfManyChunksLeavesOthersTheirTurn() async throws {
        try await withLoop { loop in
            let server = try EchoServer(on: loop)
            let release = Wakeup()
            var turns = 0
            var isCounting = false
            var bodies: [[UInt8]] = []
            server.onRequest = { request, connection in
                if request.head.targetString == "/first" {
                    await release.wait()
                    isCounting = true
                } else {
                    isCounting = false
                }
                bodies.append(request.body)
                connection.respond(HTTPResponse(status: 204))
            }
            let client = try await server.client()
            client.write(Self.post("/first", ""))
            try await server.until("the first") { server.arrivals.count == 1 }
            let body = (0..<9000).map { UInt8(truncatingIfNeeded: 0x30 + $0 % 64) }
            let head = "POST /second HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
            var request = Array(head.utf8)
            for byte in body { request += Array("1\r\n".utf8) + [byte, 0x0D, 0x0A] }
            client.socket.write(request + Array("0\r\n\r\n".utf8) + Array(Self.post("/third", "x").utf8))
            await pause(.milliseconds(50), on: loop)
            #expect(client.socket.unsentBytes == 0)
            loop.spawn {
                while bodies.count < 3 {
                    if isCounting { turns += 1 }
                    await loop.nextTurn()
                }
            }
            release.signal()
            try await server.until("the third") { bodies.count == 3 }
            #expect(bodies == [[], body, [0x78]])
            #expect(turns >= 3, "54,000 bytes were decoded in \(turns) turns")
        }
    }

    @Test(arguments: [1, 3, 7])
    func requestsInPiecesAreWhole(size: Int) async throws {
        try await withLoop { loop in
            let server = try EchoServer(on: loop)
            let client = try await server.client()
            let text = Array(
                ("POST /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nT: t\r\n\r\n"
                    + Self.post("/b", "f")).utf8)
            for start in stride(from: 0, to: text.count, by: size) {
                client.socket.write(Array(text[start..<min(start + size, text.count)]))
            }
            let expected = Self.answer("/aabcde") + Self.answer("/bf")
            try await client.until("both answers") { $0.text == expected }
        }
    }

    @Test func whoExpectsToContinueIsToldTo() async throws {
        try await withLoop { loop in
            let server = try EchoServer(on: loop)
            let client = try await server.client()
            let head = "POST /a HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n"
            client.write(head)
            try await client.until("100") { $0.text == "HTTP/1.1 100 Continue\r\n\r\n" }
            client.clear()
            client.write("body")
            try await client.until("the answer") { $0.text == Self.answer("/abody") }
            // Who does not wait needs no permission.
            client.clear()
            client.write(head + "body")
            try await client.until("the answer") { $0.text == Self.answer("/abody") }
        }
    }

    // MARK: Refusals

    @Test(arguments: [
        "Content-Length: 99999\r\n", "Content-Length: 4\r\nExpect: 100-continue\r\n", "Content-Length: 200000\r\n",
    ])
    func whoseHeadIsNotLikedIsAnsweredBeforeTheBody(fields: String) async throws {
        try await withLoop { loop in
            let server = try EchoServer(on: loop)
            server.judge = { $0.target.elementsEqual("/no".utf8) ? HTTPResponse(status: 401) : nil }
            let client = try await server.client()
            client.write("GET /yes HTTP/1.1\r\nHost: h\r\n\r\n")
            try await client.until("the answer") { $0.text == Self.answer("/yes") }
            client.clear()
            client.write("POST /no HTTP/1.1\r\nHost: h\r\n\(fields)\r\n")
            try await client.until("the end") { $0.hasEnded }
            #expect(
                client.text == "HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
            // What comes of it all the same is dropped.
            client.write("body")
            server.listener.closeListener()
            #expect(server.arrivals == ["/yes "])
        }
    }

    @Test(
        arguments: [
            ("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 101\r\n\r\n", "body too large"),
            ("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 101\r\nExpect: 100-continue\r\n\r\n", "body too large"),
            (
                "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n40\r\n\(String(repeating: "x", count: 64))\r\n40\r\n\(String(repeating: "x", count: 64))\r\n",
                "body too large"
            ),
            ("GET / HTTP/1.1\r\n\r\n", "malformed missingHost"), ("nonsense\r\n\r\n", "malformed malformedRequestLine"),
            (
                "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n",
                "malformed duplicateContentLength"
            ),
        ])
    func whatCannotBeReadIsRefusedAndTheConnectionEnds(text: String, arrival: String) async throws {
        try await withLoop { loop in
            let server = try EchoServer(on: loop, limits: .test(maxBody: 100))
            let client = try await server.client()
            client.write(text)
            try await client.until("the end") { $0.hasEnded }
            #expect(client.text == "HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
            #expect(client.error == nil, "the answer could be lost to a reset")
            client.socket.close()
            try await server.until("its end") { server.ended == 1 }
            #expect(server.arrivals == [arrival])
        }
    }

    @Test func theLargestBodyIsTaken() async throws {
        try await withLoop { loop in
            let server = try EchoServer(on: loop, limits: .test(maxBody: 100))
            let client = try await server.client()
            let body = String(repeating: "x", count: 100)
            client.write(Self.post("/", body))
            try await client.until("the answer") { $0.text == Self.answer("/" + body) }
        }
    }

    // MARK: Time

    @Test(
        arguments: [
            ("G", .test(header: .milliseconds(30)), "timed out"),
            ("GET / HTTP/1.1\r\nHost: h\r\n", .test(header: .milliseconds(30)), "timed out"),
            ("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\n", .test(body: .milliseconds(30)), "timed out"),
            ("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nab", .test(body: .milliseconds(30)), "timed out"),
        ] as [(String, HTTPServerConnection.Limits, String)])
    func whatDoesNotComeInTimeIsRefused(text: String, limits: HTTPServerConnection.Limits, arrival: String) async throws
    {
        try await withLoop { loop in
            let server = try EchoServer(on: loop, limits: limits)
            let client = try await server.client()
            client.write(text)
            try await client.until("the end") { $0.hasEnded }
            #expect(client.text.hasPrefix("HTTP/1.1 400 "))
            #expect(server.arrivals == [arrival])
        }
    }

    @Test func anIdleConnectionIsClosedWithoutAWord() async throws {
        try await withLoop { loop in
            let server = try EchoServer(on: loop, limits: .test(idle: .milliseconds(30)))
            let client = try await server.client()
            try await client.until("the end") { $0.hasEnded }
            #expect(client.bytes.isEmpty && server.arrivals.isEmpty)
            try await server.until("its end") { server.ended == 1 }
        }
    }

    /// A client that takes nothing of its answer is cut off; one that takes it slowly is not.
    @Test func whoDoesNotReadIsCutOff() async throws {
        try await withLoop { loop in
            let server = try EchoServer(on: loop, limits: .test(idle: .milliseconds(50)))
            let payload = [UInt8](repeating: 0x78, count: 30_000_000)
            server.onRequest = { _, connection in
                connection.respond(HTTPResponse(status: 200), body: payload)
            }
            let client = try await server.client()
            client.socket.pauseReading()
            client.write(Self.post("/", ""))
            try await server.until("its end") { server.ended == 1 }
            client.socket.resumeReading()
            try await client.until("the end") { $0.hasEnded }
            #expect(client.bytes.count < payload.count)
        }
    }

    // MARK: Answers

    @Test func aLargeAnswerArrivesWhole() async throws {
        try await withLoop { loop in
            let server = try EchoServer(on: loop)
            let payload = (0..<5_000_000).map { UInt8(truncatingIfNeeded: $0 >> 4) }
            server.onRequest = { _, connection in
                connection.respond(HTTPResponse(status: 200), body: Parts(slices: [payload[..<7], payload[7...]]))
            }
            let client = try await server.client()
            client.write(Self.post("/", "") + Self.post("/", ""))
            let head = Array("HTTP/1.1 200 OK\r\ncontent-length: 5000000\r\n\r\n".utf8)
            try await client.until("both") { $0.bytes.count == 2 * (head.count + payload.count) }
            #expect(client.bytes == head + payload + head + payload)
        }
    }

    @Test func aStreamIsChunked() async throws {
        try await withLoop { loop in
            let server = try EchoServer(on: loop)
            server.onRequest = { _, connection in
                connection.beginStream(HTTPResponse(status: 200, contentType: "text/event-stream"))
                connection.sendPart([Array("one".utf8)[...]])
                connection.sendPart([Array("sixteen ".utf8)[...], Array("bytes...".utf8)[...]])
                connection.endStream()
            }
            let client = try await server.client()
            client.write(Self.post("/", "") + Self.post("/", ""))
            let one =
                "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
                + "3\r\none\r\n10\r\nsixteen bytes...\r\n0\r\n\r\n"
            try await client.until("both streams") { $0.text == one + one }
        }
    }

    @Test func aStreamOfTheOldProtocolEndsWithTheConnection() async throws {
        try await withLoop { loop in
            let server = try EchoServer(on: loop)
            server.onRequest = { _, connection in
                connection.beginStream(HTTPResponse(status: 200, contentType: "text/event-stream"))
                connection.sendPart([Array("one".utf8)[...]])
                connection.endStream()
            }
            let client = try await server.client()
            client.write("POST / HTTP/1.0\r\nContent-Length: 0\r\n\r\n")
            try await client.until("the end") { $0.hasEnded }
            #expect(client.text == "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\none")
        }
    }

    @Test func aStreamOfTheOldProtocolEndsTheConnectionEvenOfAClientThatWouldKeepIt() async throws {
        try await withLoop { loop in
            let server = try EchoServer(on: loop)
            server.onRequest = { _, connection in
                connection.beginStream(HTTPResponse(status: 200))
                connection.sendPart([Array("one".utf8)[...]])
                connection.endStream()
            }
            let client = try await server.client()
            client.write("POST / HTTP/1.0\r\nConnection: keep-alive\r\nContent-Length: 0\r\n\r\n")
            try await client.until("the end") { $0.hasEnded }
            #expect(client.text == "HTTP/1.1 200 OK\r\nconnection: close\r\n\r\none")
        }
    }

    @Test func aStreamOfKnownLengthIsNotChunked() async throws {
        try await withLoop { loop in
            let server = try EchoServer(on: loop)
            server.onRequest = { request, connection in
                let length: HTTPBodyLength = request.head.targetString == "/none" ? .none : .bytes(request.body.count)
                connection.answerFields = [("vary", Array("origin".utf8))]
                connection.beginStream(HTTPResponse(status: 204 + request.body.count), length: length)
                for byte in request.body { connection.sendPart([[byte]]) }
                connection.endStream()
            }
            let client = try await server.client()
            client.write(Self.post("/", "ab") + Self.post("/", "") + Self.post("/none", ""))
            let two = "HTTP/1.1 206 \r\nvary: origin\r\ncontent-length: 2\r\n\r\nab"
            let empty = "HTTP/1.1 204 No Content\r\nvary: origin\r\ncontent-length: 0\r\n\r\n"
            let none = "HTTP/1.1 204 No Content\r\nvary: origin\r\n\r\n"
            try await client.until("three answers") { $0.text == two + empty + none }
        }
    }

    @Test func theSenderOfAStreamLearnsWhenItIsTaken() async throws {
        try await withLoop { loop in
            let server = try EchoServer(on: loop)
            var taken = 0
            server.onRequest = { _, connection in
                let done = Wakeup()
                connection.onTaken = {
                    taken += 1
                    done.signal()
                }
                connection.beginStream(HTTPResponse(status: 200), length: .bytes(8_000_000))
                connection.sendPart([[UInt8](repeating: 1, count: 8_000_000)[...]])
                #expect(connection.unsentBytes > 0)
                await done.wait()
                #expect(connection.unsentBytes == 0)
                connection.endStream()
            }
            let client = try await server.client()
            client.socket.pauseReading()
            client.write(Self.post("/", ""))
            try await server.until("the request") { !server.arrivals.isEmpty }
            client.socket.resumeReading()
            try await client.until("all of it") { $0.bytes.count > 8_000_000 }
            #expect(taken == 1)
        }
    }

    @Test func whoTakesNothingOfAStreamIsGivenUp() async throws {
        try await withLoop { loop in
            let server = try EchoServer(on: loop, limits: .test(idle: .milliseconds(60)))
            let gone = Wakeup()
            var isGone = false
            server.onRequest = { _, connection in
                connection.onDisconnect = {
                    isGone = true
                    gone.signal()
                }
                connection.beginStream(HTTPResponse(status: 200))
                connection.sendPart([[UInt8](repeating: 1, count: 8_000_000)[...]])
                while !isGone { await gone.wait() }
            }
            let client = try await server.client()
            client.socket.pauseReading()
            client.write(Self.post("/", ""))
            try await eventually("the end", on: loop, gone) { isGone }
        }
    }

    @Test func aStreamThatBeganBeforeTheEndKeepsItsPromise() async throws {
        try await withLoop { loop in
            let server = try EchoServer(on: loop)
            let release = Wakeup()
            server.onRequest = { request, connection in
                guard request.head.targetString == "/stream" else {
                    return connection.respond(HTTPResponse(status: 200))
                }
                connection.beginStream(HTTPResponse(status: 200))
                await release.wait()
                connection.endStream()
            }
            let client = try await server.client()
            client.write(Self.post("/stream", ""))
            try await server.until("the request") { server.arrivals.count == 1 }
            server.connections[0].drainConnection()
            release.signal()
            // The next request may be on its way already: it is answered, and told that it is the last.
            client.write(Self.post("/next", ""))
            try await client.until("the end") { $0.hasEnded }
            #expect(
                client.text == "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n"
                    + "HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
        }
    }

    @Test(arguments: ["POST / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n", "GET / HTTP/1.0\r\n\r\n"])
    func whoWantsNoMoreIsClosedAfterTheAnswer(text: String) async throws {
        try await withLoop { loop in
            let server = try EchoServer(on: loop)
            let client = try await server.client()
            client.write(text)
            try await client.until("the end") { $0.hasEnded }
            #expect(client.text == Self.answer("/", "connection: close\r\n"))
        }
    }

    // MARK: The end

    @Test func aClientThatGoesIsTold() async throws {
        try await withLoop { loop in
            let server = try EchoServer(on: loop)
            let gone = Wakeup()
            var told = 0
            server.onRequest = { _, connection in
                connection.onDisconnect = {
                    told += 1
                    gone.signal()
                }
                await gone.wait()
                connection.respond(HTTPResponse(status: 200))
            }
            for _ in 0..<2 {
                let client = try await server.client()
                client.write(Self.post("/", ""))
                try await server.until("the request") { server.arrivals.count == told + 1 }
                let before = told
                client.socket.close()
                try await eventually("told", on: loop, gone) { told == before + 1 }
                try await server.until("its end") { server.ended == told }
            }
            #expect(told == 2)
        }
    }

    /// A client that half-closes has gone, as far as can be seen; what is ready is answered all the same.
    @Test func whoHalfClosesIsToldAndAnswered() async throws {
        try await withLoop { loop in
            let server = try EchoServer(on: loop)
            var told = 0
            let release = Wakeup()
            server.onRequest = { _, connection in
                await release.wait()
                connection.onDisconnect = { told += 1 }
                connection.respond(HTTPResponse(status: 202))
            }
            let client = try await server.client()
            client.write(Self.post("/", ""))
            client.socket.shutdownWriting()
            try await server.until("the request") { server.arrivals.count == 1 }
            await pause(.milliseconds(10), on: loop)
            release.signal()
            try await client.until("the end") { $0.hasEnded }
            #expect(told == 1, "told at once when it is asked for late")
            #expect(client.text.hasPrefix("HTTP/1.1 202 "))
            try await server.until("its end") { server.ended == 1 }
        }
    }

    @Test func afterTheAnswerNobodyIsTold() async throws {
        try await withLoop { loop in
            let server = try EchoServer(on: loop)
            server.onRequest = { _, connection in
                connection.onDisconnect = { Issue.record("told of a client that had its answer") }
                connection.respond(HTTPResponse(status: 204))
            }
            let client = try await server.client()
            client.write(Self.post("/", ""))
            try await client.until("the answer") { $0.text == "HTTP/1.1 204 No Content\r\n\r\n" }
            client.socket.close()
            try await server.until("its end") { server.ended == 1 }
        }
    }

    @Test func whoIsIdleMayStillAskWhenTheEndComes() async throws {
        try await withLoop { loop in
            let server = try EchoServer(on: loop)
            let client = try await server.client()
            client.write(Self.post("/", "a"))
            try await client.until("the answer") { $0.text.hasSuffix("/a") }
            server.connections[0].drainConnection()
            client.write(Self.post("/", "b"))
            try await client.until("the end") { $0.hasEnded }
            #expect(client.text.hasSuffix("connection: close\r\n\r\n/b"))
        }
    }

    @Test func drainingClosesTheIdleAndFinishesTheBusy() async throws {
        try await withLoop { loop in
            let server = try EchoServer(on: loop)
            let release = Wakeup()
            server.onRequest = { _, connection in
                await release.wait()
                connection.respond(HTTPResponse(status: 200))
            }
            let busy = try await server.client()
            busy.write(Self.post("/", ""))
            try await server.until("the request") { server.arrivals.count == 1 }
            let idle = try await server.client()
            // Accepted after the one before.
            try await eventually("accepted", on: loop, Wakeup(), within: .milliseconds(50)) {
                server.connections.count == 2
            }
            for connection in server.connections { connection.drainConnection() }
            try await idle.until("the end") { $0.hasEnded }
            #expect(idle.bytes.isEmpty && !busy.hasEnded)
            release.signal()
            try await busy.until("the end") { $0.hasEnded }
            #expect(busy.text == "HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
        }
    }
}

/// A body in several parts.
private struct Parts: HTTPBody {
    let slices: [ArraySlice<UInt8>]

    var count: Int { slices.reduce(0) { $0 + $1.count } }

    func append(to output: inout [UInt8]) { for slice in slices { output.append(contentsOf: slice) } }
}
