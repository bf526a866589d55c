import HTTPTransport
import HTTPWire
import Legacy
import Reactor
import Telemetry
import TestSupport
import Testing

@testable import Gateway

/// A request of a client that is on its way to a scripted target.
private final class Stage {
    static let get = "GET /mcp HTTP/1.1\r\nHost: h\r\n\r\n"
    static let eventStream =
        "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"

    let client: Peer
    let connection: HTTPServerConnection
    let target: ScriptedTarget
    let forwarded: ForwardedRequest
    private(set) var completion: ForwardedRequest.Completion?
    private let front: Front
    private let request: HTTPServerRequest
    private let completed = Wakeup()
    private let loop: Loop

    /// - Parameter text: the request of the client.
    init(
        on loop: Loop, _ text: String = Front.request, to target: ScriptedTarget? = nil,
        total: Duration = .seconds(30), silence: Duration = .seconds(30), address: PublicAddress? = nil
    ) async throws {
        self.loop = loop
        self.target = target ?? ScriptedTarget(on: loop)
        front = try Front(on: loop, in: RequestBook(tally: RequestTally(), log: .silent))
        let responder: Responder
        (client, responder) = try await front.connect()
        connection = responder.connection
        client.write(text)
        guard case .request(let request) = await connection.nextArrival() else { throw NoHead() }
        self.request = request
        forwarded = ForwardedRequest(
            request, to: self.target, answering: connection, address: address,
            timeouts: ForwardedRequest.Timeouts(total: total, silence: silence))
    }

    func start() {
        let message = ForwardedRequest.backendMessage(
            request, target: Array("/up".utf8), host: Array("backend".utf8))
        loop.spawn { [self] in
            completion = await forwarded.relayResponse(message)
            completed.signal()
        }
    }

    /// Starts it, and returns the target's end of the connection when the request is there.
    func reach(_ number: Int = 0) async throws -> Peer {
        start()
        let server = try await target.peer(number)
        try await server.until("the request") { $0.text.contains("\r\n\r\n") }
        return server
    }

    /// How it ended, in words.
    func ending() async throws -> String {
        try await eventually("the end", on: loop, completed) { completion != nil }
        switch completion {
        case .answered: return "answered"
        case .failed(let error): return "failed, \(error.kind)"
        case .cut(let error): return "cut, \(error.kind)"
        case .abandoned: return "abandoned"
        case nil: return "nothing"
        }
    }

    /// What the client has of the body.
    var body: String {
        client.text.firstRange(of: "\r\n\r\n").map { String(client.text[$0.upperBound...]) } ?? ""
    }
}

@Suite(.timeLimit(.minutes(5))) struct ForwardedRequestTests {
    @Test func theResponseComesAsItComes() async throws {
        try await withLoop { loop in
            let stage = try await Stage(on: loop)
            let server = try await stage.reach()
            #expect(server.text.hasPrefix("POST /up HTTP/1.1\r\nhost: backend\r\n"))
            server.write(
                "HTTP/1.1 201 Created\r\nContent-Type: text/plain\r\nX-Own: 1\r\nConnection: X-Hop\r\nX-Hop: 1\r\n"
                    + "Access-Control-Allow-Origin: *\r\nContent-Length: 6\r\n\r\nabc")
            try await stage.client.until("the first piece") { $0.text.hasSuffix("\r\n\r\nabc") }
            #expect(stage.completion == nil)
            server.write("def")
            #expect(try await stage.ending() == "answered")
            try await stage.client.until("the rest") { $0.text.hasSuffix("\r\n\r\nabcdef") }
            #expect(stage.client.text.hasPrefix("HTTP/1.1 201 Created\r\n"))
            let head = stage.client.text.lowercased()
            #expect(head.contains("x-own: 1\r\n") && head.contains("content-length: 6\r\n"))
            #expect(!head.contains("x-hop") && !head.contains("access-control"))
            #expect(stage.forwarded.status == 201 && stage.forwarded.responseBytes == 6)
            #expect(stage.target.returned == 1)
        }
    }

    @Test func chunksAreMadeAnew() async throws {
        try await withLoop { loop in
            let stage = try await Stage(on: loop)
            let server = try await stage.reach()
            server.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n")
            try await stage.client.until("the first piece") { $0.text.hasSuffix("2\r\nab\r\n") }
            server.write("1\r\nc\r\n1\r\nd\r\n0\r\n\r\n")
            #expect(try await stage.ending() == "answered")
            try await stage.client.until("the end") { $0.text.hasSuffix("2\r\ncd\r\n0\r\n\r\n") }
        }
    }

    @Test(arguments: [
        ("", "failed, noAnswer"), ("HTTP/1.1 200 OK\r\nConte", "failed, noAnswer"),
        ("SSH-2.0-x\r\n\r\n", "failed, outcomeUnknown"),
    ])
    func nothingIsSentWhereNoHeadComes(_ text: String, _ ending: String) async throws {
        try await withLoop { loop in
            let stage = try await Stage(on: loop)
            let server = try await stage.reach()
            if !text.isEmpty { server.write(text) }
            await pause(.milliseconds(10), on: loop)
            server.socket.close()
            #expect(try await stage.ending() == ending)
            await pause(.milliseconds(10), on: loop)
            #expect(stage.client.bytes.isEmpty && !stage.client.hasEnded && stage.forwarded.status == nil)
        }
    }

    @Test(arguments: ["Content-Length: 10\r\n\r\nabc", "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"])
    func aCutResponseCutsTheClient(_ rest: String) async throws {
        try await withLoop { loop in
            let stage = try await Stage(on: loop)
            let server = try await stage.reach()
            server.write("HTTP/1.1 200 OK\r\n\(rest)")
            try await stage.client.until("the piece") { $0.text.contains("abc") }
            server.socket.close()
            #expect(try await stage.ending() == "cut, noAnswer")
            try await stage.client.until("the end") { $0.hasEnded }
            #expect(!stage.client.text.hasSuffix("0\r\n\r\n"))
        }
    }

    @Test(arguments: [true, false])
    func anEventStreamThatIsCutEndsWithTheLastEventBetweenTwoEventsOnly(_ isBetween: Bool) async throws {
        try await withLoop { loop in
            let stage = try await Stage(on: loop)
            stage.forwarded.lastEvent = { _ in Array("data: last\n\n".utf8) }
            let server = try await stage.reach()
            server.write(Stage.eventStream + (isBetween ? "9\r\ndata: a\n\n\r\n" : "8\r\ndata: a\n\r\n"))
            try await stage.client.until("the event") { $0.text.contains("data: a") }
            server.socket.close()
            #expect(try await stage.ending() == "cut, noAnswer")
            if isBetween {
                try await stage.client.until("the end") { $0.text.hasSuffix("data: last\n\n\r\n0\r\n\r\n") }
                #expect(!stage.client.hasEnded)
            } else {
                try await stage.client.until("the end") { $0.hasEnded }
                #expect(!stage.client.text.contains("last"))
            }
        }
    }

    @Test func theTargetIsToldWhenTheClientLeaves() async throws {
        try await withLoop { loop in
            for text in ["", "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc"] {
                let stage = try await Stage(on: loop)
                let server = try await stage.reach()
                if !text.isEmpty {
                    server.write(text)
                    try await stage.client.until("the piece") { $0.text.hasSuffix("abc") }
                }
                stage.client.socket.close()
                #expect(try await stage.ending() == "abandoned")
                try await server.until("the end") { $0.hasEnded }
            }
        }
    }

    @Test func aClientThatLeavesDuringTheConnectingSendsNothing() async throws {
        try await withLoop { loop in
            let stage = try await Stage(on: loop)
            stage.target.isSlow = true
            stage.start()
            await pause(.milliseconds(10), on: loop)
            stage.client.socket.close()
            await pause(.milliseconds(50), on: loop)
            stage.target.admit()
            #expect(try await stage.ending() == "abandoned")
            let server = try await stage.target.peer()
            await pause(.milliseconds(10), on: loop)
            #expect(server.bytes.isEmpty && stage.target.returned == 1)
        }
    }

    @Test func aTargetThatIsNotReachedIsNoAnswer() async throws {
        try await withLoop { loop in
            let stage = try await Stage(on: loop)
            stage.target.failure = .notConnected(SystemError("connect", code: SystemError.timedOut))
            stage.start()
            #expect(try await stage.ending() == "failed, unavailable")
            #expect(stage.client.bytes.isEmpty)
        }
    }

    @Test func aSlowClientMakesTheTargetWait() async throws {
        try await withLoop { loop in
            let size = 24 << 20
            let stage = try await Stage(on: loop)
            let server = try await stage.reach()
            stage.client.socket.pauseReading()
            server.write("HTTP/1.1 200 OK\r\nContent-Length: \(size)\r\n\r\n")
            server.socket.write([UInt8](repeating: UInt8(ascii: "x"), count: size))
            for _ in 0..<1000 where stage.connection.unsentBytes <= 256 << 10 {
                await pause(.milliseconds(10), on: loop)
            }
            await pause(.milliseconds(200), on: loop)
            #expect((256 << 10...1 << 20).contains(stage.connection.unsentBytes))
            #expect(server.socket.unsentBytes > 0 && stage.completion == nil)
            stage.client.socket.resumeReading()
            #expect(try await stage.ending() == "answered")
            try await stage.client.until("all of it") { $0.bytes.count > size }
            #expect(stage.forwarded.responseBytes == size)
        }
    }

    @Test func silenceAndLengthHaveLimits() async throws {
        try await withLoop { loop in
            let silent = try await Stage(on: loop, silence: .milliseconds(30))
            let server = try await silent.reach()
            #expect(try await silent.ending() == "failed, silent")
            try await server.until("the end") { $0.hasEnded }

            let long = try await Stage(on: loop, total: .milliseconds(30))
            _ = try await long.reach()
            #expect(try await long.ending() == "failed, overdue")

            let stream = try await Stage(on: loop, total: .seconds(1))
            let source = try await stream.reach()
            source.write(Stage.eventStream)
            for _ in 0..<4 {
                await pause(.milliseconds(300), on: loop)
                source.write("9\r\ndata: a\n\n\r\n")
            }
            try await stream.client.until("four events") { $0.text.components(of: "data: a") == 4 }
            #expect(stream.completion == nil)
            #expect(try await stream.ending() == "cut, overdue")
        }
    }

    @Test(arguments: [
        Stage.get, "POST /mcp HTTP/1.1\r\nHost: h\r\nMcp-Method: subscriptions/listen\r\nContent-Length: 2\r\n\r\n{}",
    ])
    func streamsThatWaitForEventsEndWhereTheirGatewayEnds(_ request: String) async throws {
        try await withLoop { loop in
            for isLate in [false, true] {
                let stage = try await Stage(on: loop, request)
                let server = try await stage.reach()
                if isLate { stage.forwarded.drainStream() }
                server.write(Stage.eventStream + "9\r\ndata: a\n\n\r\n")
                if !isLate {
                    try await stage.client.until("the event") { $0.text.contains("data: a") }
                    stage.forwarded.drainStream()
                }
                #expect(try await stage.ending() == "answered")
                try await stage.client.until("the end") { $0.text.hasSuffix("0\r\n\r\n") }
                try await server.until("the end") { $0.hasEnded }
            }
        }
    }

    @Test func otherResponsesAreNotEndedByTheGateway() async throws {
        try await withLoop { loop in
            let stage = try await Stage(on: loop)
            let server = try await stage.reach()
            server.write(Stage.eventStream + "9\r\ndata: a\n\n\r\n")
            try await stage.client.until("the event") { $0.text.contains("data: a") }
            stage.forwarded.drainStream()
            server.write("9\r\ndata: b\n\n\r\n0\r\n\r\n")
            #expect(try await stage.ending() == "answered")
            try await stage.client.until("the end") { $0.text.hasSuffix("data: b\n\n\r\n0\r\n\r\n") }
        }
    }

    @Test func aRefusalIsKeptFromTheClient() async throws {
        try await withLoop { loop in
            let stage = try await Stage(on: loop)
            stage.forwarded.isRefused = { $0.status == 410 }
            let server = try await stage.reach()
            server.write("HTTP/1.1 410 Gone\r\nContent-Length: 3\r\n\r\nabc")
            #expect(try await stage.ending() == "failed, unavailable")
            #expect(stage.client.bytes.isEmpty && stage.forwarded.status == nil && stage.target.returned == 0)
            try await server.until("the end") { $0.hasEnded }
        }
    }

    @Test func anIdleConnectionIsUsedUnlessItIsBroken() async throws {
        try await withLoop { loop in
            let target = ScriptedTarget(on: loop)
            let first = try await Stage(on: loop, to: target)
            let server = try await first.reach()
            server.write("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
            #expect(try await first.ending() == "answered")
            #expect(target.idle.count == 1)
            server.clear()
            let second = try await Stage(on: loop, to: target)
            _ = try await second.reach()
            #expect(target.peers.count == 1)
            server.write("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
            #expect(try await second.ending() == "answered")
            // It may not have been noticed yet when the request is sent.
            server.socket.close()
            let third = try await Stage(on: loop, to: target)
            let another = try await third.reach(1)
            another.write("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
            #expect(try await third.ending() == "answered")
        }
    }

    @Test func challengesLeadThroughRemora() async throws {
        try await withLoop { loop in
            let stage = try await Stage(
                on: loop,
                address: PublicAddress(
                    PublicURL(origin: "http://public", path: "/mcp"), host: "backend", path: "/up"))
            let server = try await stage.reach()
            let own = "Bearer resource_metadata=\"http://backend/.well-known/oauth-protected-resource/up\""
            server.write("HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: \(own)\r\nContent-Length: 0\r\n\r\n")
            #expect(try await stage.ending() == "answered")
            try await stage.client.until("the head") { $0.text.hasSuffix("\r\n\r\n") }
            #expect(
                stage.client.text.contains(
                    "Bearer resource_metadata=\"http://public/.well-known/oauth-protected-resource/mcp\"\r\n"))
            #expect(stage.forwarded.challenges.map { String(decoding: $0, as: UTF8.self) } == [own])
        }
    }

    /// Pieces of any size, at any time, with an end at any place: the client has what came, whole or visibly cut.
    @Test func whateverHappensTheClientHasWhatCame() async throws {
        try await withLoop { loop in
            var random = SplitMix(state: 7)
            for round in 0..<150 {
                let stage = try await Stage(on: loop)
                let server = try await stage.reach()
                let body = String((0..<random.below(3000)).map { _ in "abcdefgh".randomElement(using: &random) ?? "a" })
                let isChunked = random.below(2) == 0
                var bytes = "HTTP/1.1 200 OK\r\n"
                bytes += isChunked ? "Transfer-Encoding: chunked\r\n\r\n" : "Content-Length: \(body.utf8.count)\r\n\r\n"
                let headSize = bytes.utf8.count
                if isChunked {
                    var rest = body[...]
                    while !rest.isEmpty {
                        let part = rest.prefix(1 + random.below(700))
                        rest = rest.dropFirst(part.count)
                        bytes += "\(String(part.utf8.count, radix: 16))\r\n\(part)\r\n"
                    }
                    bytes += "0\r\n\r\n"
                } else {
                    bytes += body
                }
                let end = random.below(4)
                let all = Array(bytes.utf8)
                let sent = end == 0 ? random.below(all.count) : all.count
                var rest = all[..<sent]
                let leavesAt = end == 1 ? random.below(all.count) : Int.max
                while !rest.isEmpty, rest.startIndex < leavesAt {
                    let part = rest.prefix(1 + random.below(900))
                    rest = rest.dropFirst(part.count)
                    server.socket.write(Array(part))
                    if random.below(3) == 0 { await pause(.zero, on: loop) }
                }
                switch end {
                case 0:
                    await pause(.milliseconds(1), on: loop)
                    server.socket.close()
                    let ending = try await stage.ending()
                    #expect(ending == (sent < headSize ? "failed, noAnswer" : "cut, noAnswer"), "round \(round)")
                    if sent >= headSize { try await stage.client.until("the cut") { $0.hasEnded } }
                case 1:
                    stage.client.socket.close()
                    // What was whole before may be answered.
                    #expect(["abandoned", "answered"].contains(try await stage.ending()), "round \(round)")
                    continue
                default:
                    #expect(try await stage.ending() == "answered", "round \(round)")
                    try await stage.client.until("all of it") { peer in
                        isChunked ? peer.text.hasSuffix("0\r\n\r\n") : stage.body.utf8.count == body.utf8.count
                    }
                }
                let got = isChunked ? unchunked(stage.body) : stage.body
                #expect(body.hasPrefix(got) && stage.forwarded.responseBytes >= got.utf8.count, "round \(round)")
                if end > 1 { #expect(got == body, "round \(round)") }
            }
        }
    }
}

/// The parts of a body in chunks, as far as they came.
private func unchunked(_ text: String) -> String {
    var bytes = Array(text.utf8)[...]
    var body: [UInt8] = []
    while let lineEnd = bytes.firstIndex(of: UInt8(ascii: "\r")),
        let size = Int(String(decoding: bytes[..<lineEnd], as: UTF8.self), radix: 16)
    {
        body += bytes.dropFirst(lineEnd + 2 - bytes.startIndex).prefix(size)
        bytes = bytes.dropFirst(lineEnd + 4 + size - bytes.startIndex)
    }
    return String(decoding: body, as: UTF8.self)
}

extension String {
    /// How often a part is in it.
    fileprivate func components(of part: String) -> Int { ranges(of: part).count }
}
