import Foundation
import HTTPTransport
import Reactor
import TestSupport
import Testing

@testable import Legacy

/// Exchanges against a model of them, through random orders of what a server, a reader and the clock do.
///
/// `REMORA_STEPS` is how many steps there are in all, in histories that are others each time; the seed of one that goes wrong
/// is told, and is to be kept here.
@Suite(.timeLimit(.minutes(10))) struct BackendExchangeModelTests {
    private static let stepsOfHistory = 150
    /// Seeds of histories that went wrong once.
    private static let kept: [UInt64] = []

    @Test func anExchangeIsAsItsModelSays() async throws {
        for seed in seedsOfRuns(kept: Self.kept, steps: Self.stepsOfHistory) {
            var random = SplitMix(state: seed)
            let isPinned = Bool.random(using: &random)
            let buffer = [1, 300, 1 << 20].randomElement(using: &random) ?? 1
            try await PlayedServer.with(isPinned: isPinned, streamBuffer: buffer) { it in
                let history = History(it, SplitMix(state: seed), isPinned: isPinned, buffer: buffer)
                do {
                    var steps = 0
                    while steps < Self.stepsOfHistory, it.route.pin?.isOver != true {
                        steps += try await history.runExchange()
                    }
                } catch let violation as Violation {
                    Issue.record("seed \(seed): \(violation.what)\n\(history.told.joined(separator: "\n"))")
                }
            }
        }
    }
}

/// What an exchange is to look like.
private struct Model {
    enum Content { case json, events, other }

    enum Phase: Equatable {
        case asked, answered, elsewhere, failed, over
        /// What comes is dropped.
        case dropping
    }

    enum Sent {
        case head(Int, Content)
        case part(String)
        case end
        case cut
    }

    let isPinned: Bool
    let buffer: Int
    var phase = Phase.asked
    var mayBeSentAgain: Bool
    var isSentAgain = false
    var isConnectionKept: Bool?
    var status: Int?
    var content: Content?
    var document = ""
    var messages: [String] = []
    var hasDelivered = false
    var hasAnswerElsewhere = false
    var isHeld = false
    /// What the server sent and is not read.
    var unread: [Sent] = []
    var error: BackendError.Kind?
    var hasLeft = false
    /// Whether a part of the answer was dropped: what it was is no matter then.
    var wasDropped = false
    var isOverdue = false
    var isSuspended = false
    /// Whether a reader waits to be told.
    var isWatched = false
    var told = 0

    var isSuccess: Bool { content == .json || content == .events }
    var hasEnded: Bool { phase == .answered || phase == .failed || phase == .over }
    var isWaiting: Bool {
        messages.isEmpty && (phase == .elsewhere || phase == .asked && (content == nil || isSuccess))
    }

    private var held: Int { messages.reduce(0) { $0 + $1.utf8.count + MessageQueue.overhead } }

    mutating func receive(_ sent: Sent) {
        if isHeld { unread.append(sent) } else { take(sent) }
    }

    private mutating func take(_ sent: Sent) {
        guard phase == .asked || phase == .dropping else { return }
        switch sent {
        case .head(let status, let content):
            mayBeSentAgain = false
            if phase == .asked { (self.status, self.content) = (status, content) }
        case .part(let text) where phase == .asked:
            if content == .json { document += text }
            if content == .events {
                messages.append(text)
                hasDelivered = true
                if held > buffer { isHeld = true }
            }
        case .part: break
        case .end:
            isConnectionKept = true
            if phase == .asked, !document.isEmpty {
                messages.append(document)
                hasDelivered = true
            }
            end(nil)
        case .cut:
            if mayBeSentAgain, !isPinned {
                (isSentAgain, mayBeSentAgain) = (true, false)
                return
            }
            isConnectionKept = false
            end(mayBeSentAgain ? .sessionLost : .noAnswer)
        }
    }

    private mutating func end(_ error: BackendError.Kind?) {
        if phase == .dropping {
            phase = self.error == nil ? .over : .failed
        } else if let error {
            (phase, self.error) = (.failed, error)
        } else {
            phase = phase == .elsewhere ? .over : .answered
        }
        isHeld = false
    }

    private mutating func readOn() {
        isHeld = false
        let all = unread
        unread = []
        for sent in all {
            // The end of a connection is no part of what was read before the connection was held up again.
            if case .cut = sent, isHeld { unread = [sent] } else { take(sent) }
        }
    }

    mutating func pop() -> String? {
        if messages.isEmpty { return nil }
        let message = messages.removeFirst()
        if isHeld, held <= buffer / 2 { readOn() }
        return message
    }

    mutating func abandon() {
        hasLeft = true
        messages = []
        if phase == .asked {
            (phase, wasDropped) = (.dropping, true)
            readOn()
        } else if phase == .elsewhere {
            phase = .over
        }
    }

    mutating func cancel() {
        if hasEnded || error != nil { return }
        if isPinned, phase != .elsewhere {
            (phase, wasDropped, error, messages) = (.dropping, true, .cancelled, [])
            readOn()
        } else {
            if phase != .elsewhere { isConnectionKept = false }
            end(.cancelled)
        }
    }

    mutating func answerElsewhere(_ text: String) {
        if hasLeft || error != nil || hasAnswerElsewhere || phase == .over { return }
        hasAnswerElsewhere = true
        messages.append(text)
    }

    mutating func expectElsewhere() -> Bool {
        guard phase == .answered else { return false }
        phase = .elsewhere
        return true
    }

    mutating func expectElsewhereNoLonger() { if phase == .elsewhere { end(nil) } }

    /// What comes of a step when the loop has turned.
    mutating func settle() {
        if isOverdue, !isSuspended, phase == .asked || phase == .elsewhere {
            if phase == .asked { isConnectionKept = false }
            end(.overdue)
        }
        if isWatched, !isWaiting {
            isWatched = false
            told += 1
        }
    }
}

/// One exchange after the other with the same server.
private final class History {
    private let it: PlayedServer
    private var random: SplitMix
    private let isPinned: Bool
    private let buffer: Int
    /// Each step in words.
    private(set) var told: [String] = []
    private var number = 0

    init(_ it: PlayedServer, _ random: SplitMix, isPinned: Bool, buffer: Int) {
        (self.it, self.random, self.isPinned, self.buffer) = (it, random, isPinned, buffer)
    }

    private func text() -> String {
        number += 1
        return "\(number)" + String(repeating: "x", count: Int.random(in: 0...40, using: &random))
    }

    /// Returns how many steps there were.
    func runExchange() async throws -> Int {
        let isRepeatable = Bool.random(using: &random)
        let wasKept = isPinned ? !told.isEmpty : it.isKept
        told = ["\(isPinned ? "pinned" : "pooled"), buffer \(buffer), repeatable \(isRepeatable), kept \(wasKept)"]
        var (exchange, peer) = try await it.ask(isRepeatable: isRepeatable)
        var model = Model(isPinned: isPinned, buffer: buffer, mayBeSentAgain: isRepeatable && wasKept)
        let reader = CountingReader()
        /// What of the answer the server has sent.
        var content: Model.Content?
        var isSent = false
        var droppedAt: Instant?
        for step in 1... {
            switch Int.random(in: 0..<20, using: &random) {
            case 0..<3 where content == nil && !isSent:
                let (status, fields, kind) = head()
                say("head \(status) \(kind)")
                content = kind
                peer.write(Wire.head(status, fields))
                model.receive(.head(Int(status.prefix(3)) ?? 0, kind))
            case 0..<5 where content != nil && !isSent:
                let text = text()
                say("part \(text)")
                peer.write(content == .events ? Wire.event(text) : Wire.chunk(text))
                model.receive(.part(text))
            case 5 where content != nil && !isSent:
                say("end")
                isSent = true
                peer.write(Wire.lastChunk)
                model.receive(.end)
            // What is dropped is not sent again.
            case 6 where !isSent && Bool.random(using: &random) && !(model.phase == .dropping && model.mayBeSentAgain):
                say("cut")
                isSent = true
                peer.socket.close()
                model.receive(.cut)
            case 7..<11 where !model.hasLeft:
                say("read")
                let expected = model.pop()
                let text = exchange.readyMessage().map { String(decoding: $0, as: UTF8.self) }
                try expect(text == expected, "read \(text ?? "nothing") and not \(expected ?? "nothing")")
            case 11, 12:
                guard !model.hasLeft else { break }
                say("tell")
                let isWatched = exchange.notifyReader(reader)
                try expect(isWatched == model.isWaiting, "tells: \(isWatched)")
                model.isWatched = isWatched
            // Who waits to be told does not leave.
            case 13 where !model.isWatched && Int.random(in: 0..<4, using: &random) == 0:
                say("abandon")
                if model.phase == .asked { droppedAt = .now }
                exchange.abandonResponse()
                model.abandon()
            case 14 where !model.hasLeft && Int.random(in: 0..<3, using: &random) == 0:
                say("cancel")
                if model.phase == .asked, isPinned { droppedAt = .now }
                exchange.failExchange(with: .clientLeft)
                model.cancel()
            case 15 where !model.hasLeft && model.phase != .over:
                let text = text()
                say("answered elsewhere \(text)")
                exchange.responseArrivedElsewhere(Array(text.utf8))
                model.answerElsewhere(text)
            case 16 where !model.hasLeft:
                say("expect elsewhere")
                let expected = model.expectElsewhere()
                try expect(exchange.expectElsewhere() == expected, "expects another way, or not")
            case 17 where !model.hasLeft && Bool.random(using: &random):
                say("no other way")
                exchange.expectElsewhereNoLonger()
                model.expectElsewhereNoLonger()
            case 18 where !model.hasLeft && Bool.random(using: &random):
                say("suspend")
                exchange.suspendTimeout()
                model.isSuspended = true
            case 19 where !model.hasLeft:
                let isOverdue = Int.random(in: 0..<6, using: &random) == 0
                say(isOverdue ? "time is over" : "go on")
                exchange.resumeTimeout(until: .now + .seconds(isOverdue ? -1 : 60), silence: nil)
                (model.isOverdue, model.isSuspended) = (isOverdue, false)
            default: break
            }
            await it.settle()
            model.settle()
            // What is dropped has a second. A machine that takes most of it says nothing.
            let isLate = droppedAt.map { Instant.now - $0 > .milliseconds(700) } ?? false
            if step > 200 || isLate && model.isConnectionKept == nil {
                exchange.failExchange(with: .clientLeft)
                exchange.abandonResponse()
                if model.isConnectionKept == nil { peer.socket.close() }
                await it.settle()
                return step
            }
            if model.isSentAgain {
                say("sent again")
                model.isSentAgain = false
                peer = try await it.requested()
                (content, isSent) = (nil, false)
            }
            try check(exchange, model, reader)
            let isDone = model.isConnectionKept != nil && (model.phase != .answered || step > 30)
            if isDone, model.phase != .elsewhere, model.messages.isEmpty || model.hasLeft { return step }
        }
        return 0
    }

    private func head() -> (status: String, fields: String, Model.Content) {
        switch Int.random(in: 0..<5, using: &random) {
        case 0, 1: ("200 OK", Wire.events, .events)
        case 2: ("200 OK", Wire.json, .json)
        case 3: ("202 Accepted", "", .other)
        default: ("404 Not Found", Wire.json, .other)
        }
    }

    private func say(_ step: String) { told.append(step) }

    private func expect(_ condition: Bool, _ what: @autoclosure () -> String) throws {
        if !condition { throw Violation(what: what()) }
    }

    private func check(_ exchange: BackendExchange, _ model: Model, _ reader: CountingReader) throws {
        try expect(reader.told == model.told, "told \(reader.told) times and not \(model.told)")
        if let isKept = model.isConnectionKept {
            try expect(it.isKept == isKept, "the connection is \(isKept ? "not " : "")kept")
        }
        if model.hasLeft { return }
        try expect(exchange.hasDelivered == model.hasDelivered, "delivered")
        try expect(exchange.flaw?.kind == model.error, "fails: \(exchange.flaw.map { "\($0.kind)" } ?? "not")")
        try expect(exchange.isExhausted == (model.messages.isEmpty && model.hasEnded), "exhausted")
        try expect(
            exchange.isExpectedElsewhere == (model.phase == .elsewhere && model.messages.isEmpty), "expected elsewhere")
        if model.wasDropped { return }
        if let status = model.status { try expect(exchange.status == status, "the status") }
        try expect(exchange.isSuccess == model.isSuccess, "success")
        try expect(exchange.isStream == (model.content == .events), "a stream")
        if model.phase != .failed {
            let brings = model.isSuccess || !model.messages.isEmpty || [.elsewhere, .over].contains(model.phase)
            try expect(exchange.bringsMessages == brings, "brings messages")
        }
    }
}
