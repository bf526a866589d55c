import Foundation
import HTTPWire
import Reactor
import TestSupport
import Testing

@testable import HTTPTransport

/// A connection against a model of it, through random orders of what a client sends and how its requests are answered, right and
/// wrong.
///
/// `REMORA_STEPS` is how many steps there are in all, with seeds that are others each time.
@Suite(.timeLimit(.minutes(10))) struct ServerConnectionModelTests {
    private static let steps = 6000

    @Test func aConnectionIsAsItsModelSays() async throws {
        let wanted = ProcessInfo.processInfo.environment["REMORA_STEPS"].flatMap { Int($0) }
        var seed: UInt64 = wanted == nil ? 1 : .random(in: 0 ... .max)
        var done = 0
        while done < wanted ?? Self.steps {
            let (first, isTaken) = (seed, seed % 2 == 0)
            done += try await withLoop { loop in
                let history = try History(on: loop, seed: first, isTaken: isTaken)
                do {
                    return try await history.run()
                } catch let violation as Violation {
                    Issue.record("seed \(first): \(violation.what)\n\(history.told.joined(separator: "\n"))")
                    return Int(Int32.max)
                }
            }
            seed &+= 1
        }
    }
}

/// What a client is to get.
private struct Model {
    enum Answer: Equatable {
        /// No request is served.
        case none
        case due
        /// - Parameter due: bytes that were said and have not come; nil for chunks.
        case streaming(due: Int?)
        case written
    }

    var answer = Answer.none
    var text = ""
    /// The head of a stream that waits for its first bytes.
    private var head = ""
    var isEnded = false
    var isDraining = false
    var hasPeerEnded = false
    private var closes = false

    private mutating func line() -> String {
        closes = closes || isDraining
        return closes ? "connection: close\r\n" : ""
    }

    mutating func respond(_ body: String) {
        guard answer == .due else { return cut() }
        text += "HTTP/1.1 200 OK\r\ncontent-length: \(body.utf8.count)\r\n\(line())\r\n\(body)"
        finish()
    }

    mutating func begin(length: Int?) {
        guard answer == .due else { return cut() }
        let framing = length.map { "content-length: \($0)\r\n" } ?? "transfer-encoding: chunked\r\n"
        head = "HTTP/1.1 200 OK\r\n\(framing)\(line())\r\n"
        answer = .streaming(due: length)
        if length ?? 0 == 0 { flush() }
    }

    private mutating func flush() {
        text += head
        head = ""
    }

    mutating func send(_ part: String) {
        guard case .streaming(let due) = answer else { return }
        flush()
        text += due == nil ? "\(String(part.utf8.count, radix: 16))\r\n\(part)\r\n" : part
        answer = .streaming(due: due.map { $0 - part.utf8.count })
    }

    mutating func end() {
        guard case .streaming(let due) = answer else { return }
        flush()
        if due == nil { text += "0\r\n\r\n" }
        if due ?? 0 != 0 { return cut() }
        finish()
    }

    private mutating func finish() {
        answer = .written
        if closes { isEnded = true }
    }

    private mutating func cut() { isEnded = true }

    mutating func endPeer() {
        hasPeerEnded = true
        if answer == .none { isEnded = true }
    }

    /// The request is over.
    mutating func served() {
        answer = .none
        if hasPeerEnded { isEnded = true }
    }
}

/// One connection, whose requests are answered as chance has it.
private final class History {
    private static let requestCount = 20

    private let loop: Loop
    private let server: EchoServer
    private let isTaken: Bool
    private var random: SplitMix
    private var model = Model()
    private(set) var told: [String] = []
    /// All that the client has to send, and where each of its requests ends.
    private var input: [UInt8] = []
    private var ends: [Int] = []
    private var sent = 0
    /// Requests that are over.
    private var count = 0
    /// What is served.
    private var current: (path: String, connection: HTTPServerConnection)?
    private let isOver = Wakeup()

    init(on loop: Loop, seed: UInt64, isTaken: Bool) throws {
        self.loop = loop
        self.isTaken = isTaken
        random = SplitMix(state: seed)
        server = try EchoServer(on: loop)
        for number in 0..<Self.requestCount {
            let body = String(repeating: "b", count: Int.random(in: 0...200, using: &random))
            input += Array("POST /\(number) HTTP/1.1\r\nHost: h\r\nContent-Length: \(body.count)\r\n\r\n\(body)".utf8)
            ends.append(input.count)
        }
        server.take = { [self] request, connection in
            if isTaken { current = (request.head.targetString, connection) }
            return isTaken
        }
        server.onRequest = { [self] request, connection in
            current = (request.head.targetString, connection)
            while current?.path == request.head.targetString { await isOver.wait() }
        }
    }

    /// Returns how many steps there were.
    func run() async throws -> Int {
        defer {
            server.listener.closeListener()
            (server.take, server.onRequest) = (nil, nil)
            current = nil
            isOver.signal()
        }
        let client = try await server.client()
        for step in 1...400 {
            try takeStep(client)
            for _ in 0..<6 { await loop.nextTurn() }
            if model.answer == .none, !model.isEnded, ends.indices.contains(count), ends[count] <= sent {
                model.answer = .due
            }
            try check(client)
            if model.isEnded || count == Self.requestCount { return step }
        }
        return 400
    }

    private func part() -> String { String(repeating: "p", count: Int.random(in: 1...20, using: &random)) }

    private func takeStep(_ client: Peer) throws {
        let connection = current?.connection
        switch Int.random(in: 0..<24, using: &random) {
        case 0..<6 where sent < input.count && !model.hasPeerEnded:
            let end = min(input.count, sent + Int.random(in: 1...400, using: &random))
            told.append("send up to \(end)")
            client.socket.write(Array(input[sent..<end]))
            sent = end
        case 6..<9 where model.answer == .due, 20 where model.answer != .none:
            let body = part()
            told.append("respond \(body)")
            connection?.respond(HTTPResponse(status: 200), body: Array(body.utf8))
            model.respond(body)
        case 9..<12 where model.answer == .due, 21 where model.answer != .none:
            let length = Bool.random(using: &random) ? nil : Int.random(in: 0...20, using: &random)
            told.append("begin \(length.map { "\($0)" } ?? "chunks")")
            connection?.beginStream(
                HTTPResponse(status: 200), length: length.map { HTTPBodyLength.bytes($0) } ?? .chunked)
            model.begin(length: length)
        case 12..<15 where model.answer != .none:
            var part = part()
            if case .streaming(due: .some(let due)) = model.answer {
                // As long as was said, if it does not end before.
                if due == 0 { break }
                part = String(repeating: "p", count: due)
            }
            told.append("part \(part)")
            connection?.sendPart([Array(part.utf8)[...]])
            model.send(part)
        case 15..<17 where model.answer != .none && (model.answer != .due || Bool.random(using: &random)):
            told.append("end")
            connection?.endStream()
            model.end()
        case 17..<20 where model.answer == .written:
            told.append("served")
            count += 1
            current = nil
            if isTaken { connection?.requestServed() } else { isOver.signal() }
            model.served()
        case 22 where model.answer != .none && Int.random(in: 0..<8, using: &random) == 0:
            told.append("drain")
            connection?.drainConnection()
            model.isDraining = true
        case 23 where !model.hasPeerEnded && Int.random(in: 0..<8, using: &random) == 0:
            told.append("the client ends")
            client.socket.shutdownWriting()
            model.endPeer()
        default: break
        }
    }

    private func check(_ client: Peer) throws {
        let path = model.answer == .none || model.isEnded ? nil : "/\(count)"
        if !model.isEnded, current?.path != path {
            throw Violation(what: "serves \(current?.path ?? "nothing") and not \(path ?? "nothing")")
        }
        if client.text != model.text { throw Violation(what: "sent \(client.text)\nand not\n\(model.text)") }
        if client.hasEnded != model.isEnded { throw Violation(what: "ended: \(client.hasEnded)") }
    }
}
