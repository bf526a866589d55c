import Foundation
import HTTPTransport
import JSONText
import Legacy
import Reactor
import Telemetry
import TestSupport
import Testing

@testable import Gateway

/// A request is finished once: one answer, one line of the log, one place in the counts.
@Suite(.timeLimit(.minutes(5))) struct ClientRequestTests {
    private static let answer = ModernResponse(
        status: 200, text: SplicedText(Array(#"{"jsonrpc":"2.0"}"#.utf8)), code: nil)
    private static let ends: [ClientRequest.End] = [
        .answered(answer), .answered(ModernResponse(status: 200, text: answer.text, code: -32603)),
        .refused(.invalidRequestState), .empty(HTTPResponse(status: 202)), .streamEnded,
        .relayed(status: 200, bytes: 7), .abandoned,
    ]

    /// Makes the answer, and has its request end when the client leaves.
    private final class Maker: ResponseProducer {
        let request: ClientRequest
        private(set) var hasLeft = false
        let left = Wakeup()

        init(_ request: ClientRequest) {
            self.request = request
            request.responder.beginResponse(for: self)
        }

        func clientLeft() {
            hasLeft = true
            left.signal()
            request.noteFailure(.clientLeft)
            request.finishRequest(.abandoned)
        }
    }

    /// The text of a log, when everything that wrote to it has ended.
    private static func logged(_ body: (Log) async throws -> Void) async throws -> [Substring] {
        let file = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString)
        let descriptor = open(file.path, O_RDWR | O_CREAT | O_EXCL, 0o600)
        defer {
            close(descriptor)
            try? FileManager.default.removeItem(at: file)
        }
        let log = Log(level: .info, format: .json, descriptor: descriptor)
        try await body(log)
        log.flushLines(within: .seconds(30))
        return String(decoding: try Data(contentsOf: file), as: UTF8.self).split(separator: "\n")
    }

    private static func lines(_ lines: [Substring], of event: String) -> Int {
        lines.count { $0.contains(#""event":"\#(event)""#) }
    }

    /// Notifications, an end, a second one and a client that leaves, in random order and on connections that go on.
    @Test func eachRequestEndsOnceWhateverHappens() async throws {
        let count = 400
        let lines = try await Self.logged { log in
            try await withLoop { loop in
                let book = RequestBook(tally: RequestTally(), log: log)
                let front = try Front(on: loop, in: book)
                var random = SplitMix(state: 1)
                var (client, responder) = try await front.connect()
                for number in 0..<count {
                    client.clear()
                    client.write(Front.request)
                    guard let request = await front.next(on: responder) else { throw NoHead() }
                    #expect(book.tally.counts.active == 1)
                    let maker = Maker(request)
                    var sent = 0
                    for _ in 0..<random.below(4) where !request.isFinished {
                        switch random.below(3) {
                        case 0:
                            responder.sendMessage(Array(#"{"n":1}"#.utf8))
                            sent += 1
                        case 1: request.noteFailure(.clientLeft)
                        default: await pause(.zero, on: loop)
                        }
                    }
                    let leaves = random.below(4) == 0
                    if leaves {
                        client.socket.close()
                        if random.below(2) == 0, !request.isFinished {
                            try await eventually("its end", on: loop, maker.left) { maker.hasLeft }
                        }
                    }
                    var end = Self.ends[random.below(Self.ends.count)]
                    // Another part has sent the answer of a request that is relayed, and none is sent to a client that has gone.
                    if case .relayed = end { end = .answered(Self.answer) }
                    if case .abandoned = end, !leaves { end = .answered(Self.answer) }
                    let wasFinished = request.isFinished
                    request.finishRequest(end)
                    #expect(request.isFinished)
                    for _ in 0..<random.below(3) { request.finishRequest(Self.ends[random.below(Self.ends.count)]) }
                    #expect(book.tally.counts.active == 0)
                    if leaves || wasFinished {
                        (client, responder) = try await front.connect()
                        continue
                    }
                    var streamed = sent > 0
                    if case .streamEnded = end { streamed = true }
                    try await client.until("one answer of request \(number)") {
                        $0.text.hasPrefix("HTTP/1.1 ")
                            && (streamed ? $0.text.hasSuffix("0\r\n\r\n") : $0.text.contains("\r\n\r\n"))
                    }
                    #expect(client.text.components(separatedBy: "HTTP/1.1 ").count == 2, "\(client.text)")
                }
            }
        }
        #expect(Self.lines(lines, of: "request") == count)
        // One line for all of them.
        #expect(Self.lines(lines, of: "internal_error") == 1)
    }

    @Test func aRequestThatNothingEndsIsAFaultThatIsTold() async throws {
        let lines = try await Self.logged { log in
            try await withLoop { loop in
                let book = RequestBook(tally: RequestTally(), log: log)
                let front = try Front(on: loop, in: book)
                let (client, responder) = try await front.connect()
                client.write(Front.request)
                var request = await front.next(on: responder)
                #expect(book.tally.counts.active == 1 && request != nil)
                request = nil
                #expect(book.tally.counts.active == 0)
            }
        }
        #expect(Self.lines(lines, of: "internal_error") == 1)
        #expect(Self.lines(lines, of: "request") == 0)
    }
}
