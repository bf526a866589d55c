import JSONText
import Legacy
import MCP
import TestSupport
import Testing

@testable import Gateway

/// Whatever a client and a server do, in whatever order: each request ends once, nothing is sent on a stream that is over, and what
/// waits is bounded.
@Suite struct OlderRoutingRandomTests {
    @Test func inAnyOrder() {
        RandomSteps.drive("OlderRouting") { seed throws(Violation) in
            var drive = Drive(seed)
            for _ in 0..<400 { try drive.step() }
            return 400
        }
    }

    private struct Drive {
        private static let maxKept = 5
        private var random: SplitMix
        private var routing = OlderRouting(maxKept: Drive.maxKept, maxKeptBytes: 400)
        private var open: [Int: Set<Int>] = [:]
        private var listening: Set<Int> = []
        private var lastID = 0
        private var lastQuestion = 0
        /// Questions of the server that were neither sent nor refused.
        private var asked: Set<Int> = []

        init(_ seed: UInt64) { random = SplitMix(state: seed) }

        mutating func step() throws(Violation) {
            switch random.below(12) {
            case 0, 1: try post()
            case 2: try listen()
            case 3: try leave()
            case 4, 5, 6:
                let id = random.below(lastID + 2)
                try hear(Drive.answer(id))
                guard !open.values.contains(where: { $0.contains(id) }) else { throw Violation(what: "no response") }
            case 7: try hear(Drive.progress(random.below(lastID + 2)))
            case 8, 9:
                lastQuestion += 1
                asked.insert(lastQuestion)
                try hear(#"{"id":\#(lastQuestion),"method":"ping"}"#)
            default: try hear(#"{"method":"notifications/message","params":{"a":"\#(random.next())"}}"#)
            }
            guard routing.isQuiet == (open.isEmpty && listening.isEmpty) else { throw Violation(what: "quiet") }
            guard asked.isEmpty || asked.count <= Drive.maxKept, routing.isQuiet || asked.isEmpty else {
                throw Violation(what: "\(asked.count) questions wait")
            }
        }

        private static func answer(_ id: Int) -> String { #"{"id":\#(id),"result":{}}"# }

        private static func progress(_ token: Int) -> String {
            #"{"method":"notifications/progress","params":{"progressToken":\#(token)}}"#
        }

        private static func message(_ text: String) throws(Violation) -> CarriedMessage {
            guard let document = try? JSONDocument(Array(text.utf8)), let message = CarriedMessage(document) else {
                throw Violation(what: "no message: \(text)")
            }
            return message
        }

        private mutating func post() throws(Violation) {
            var requests: [OlderRouting.Request] = []
            var ids: Set<Int> = []
            for _ in 0...random.below(3) {
                lastID += 1
                ids.insert(lastID)
                let message = try Drive.message(
                    #"{"id":\#(lastID),"method":"x","params":{"_meta":{"progressToken":\#(lastID)}}}"#)
                guard case .request(let id) = message.kind else { throw Violation(what: "no request") }
                requests.append(.init(id: id, rawID: Array("\(lastID)".utf8), progressToken: message.progressToken))
            }
            guard let (stream, steps) = routing.openResponse(requests) else { throw Violation(what: "an id is taken") }
            guard routing.openResponse(requests) == nil else { throw Violation(what: "an id is taken twice") }
            open[stream] = ids
            try follow(steps)
        }

        private mutating func listen() throws(Violation) {
            let (stream, steps) = routing.openListening()
            listening.insert(stream)
            try follow(steps)
            guard listening.count <= OlderRouting.maxListening else { throw Violation(what: "too many listen") }
        }

        private mutating func leave() throws(Violation) {
            let all = (Array(open.keys) + Array(listening)).sorted()
            guard !all.isEmpty else { return }
            let stream = all[random.below(all.count)]
            let left = routing.closeStream(stream).map { Int(String(decoding: $0.rawID, as: UTF8.self)) }
            guard Set(left) == Set((open[stream] ?? []).map { $0 }) else { throw Violation(what: "requests are lost") }
            open[stream] = nil
            listening.remove(stream)
        }

        private mutating func hear(_ text: String) throws(Violation) {
            try follow(routing.routeMessage(Drive.message(text)))
        }

        private mutating func follow(_ steps: [OlderRouting.Step]) throws(Violation) {
            for step in steps {
                switch step {
                case .send(let text, let stream):
                    guard open[stream] != nil || listening.contains(stream) else {
                        throw Violation(what: "a message on a stream that is over")
                    }
                    try sent(text, on: stream)
                case .finish(let text, let stream):
                    try sent(text, on: stream)
                    guard open.removeValue(forKey: stream)?.isEmpty == true else {
                        throw Violation(what: "a stream ends with requests, or twice")
                    }
                case .end(let stream):
                    guard listening.remove(stream) != nil else { throw Violation(what: "nobody listened") }
                case .refuse(let rawID):
                    let id = Int(String(decoding: rawID, as: UTF8.self)) ?? 0
                    guard asked.remove(id) != nil else { throw Violation(what: "a question is refused twice") }
                }
            }
        }

        private mutating func sent(_ text: [UInt8], on stream: Int) throws(Violation) {
            let message = try Drive.message(String(decoding: text, as: UTF8.self))
            let id = message.rawID.flatMap { Int(String(decoding: $0, as: UTF8.self)) } ?? 0
            switch message.kind {
            case .response:
                guard open[stream]?.remove(id) != nil else { throw Violation(what: "a response to no request") }
            case .request:
                guard asked.remove(id) != nil else { throw Violation(what: "a question is asked twice") }
            case .notification: break
            }
        }
    }
}
