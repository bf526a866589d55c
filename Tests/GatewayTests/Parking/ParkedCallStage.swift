import JSONText
import MCP
import Reactor
import Testing
import Translation

@testable import Gateway

/// A parked call with a clock that the test moves. What is to be done comes back in words.
struct ParkedCallStage {
    static let everything = #"{"elicitation":{"form":{},"url":{}},"sampling":{"tools":{},"context":{}},"roots":{}}"#

    private var call: ParkedCall<String>
    private(set) var now = Instant(nanoseconds: 1_000_000_000)
    private var lastLeg = 1
    /// Whether there is a place for a call that waits, and how often one was asked for.
    var hasPlace = true
    private(set) var placesTaken = 0

    /// A call that leg 1 has just begun.
    init(capabilities: String = everything, phase: CallPhase = .dispatched) throws {
        let leg = ParkedCall<String>.Leg(id: 1, capabilities: try Self.capabilities(capabilities))
        call = ParkedCall(leg, phase: phase, revision: .v2025_11_25, times: ParkingTimes())
    }

    /// A call whose client was asked for a form with the id 0 and the key `elicitation-1`.
    static func parked() throws -> ParkedCallStage {
        var stage = try ParkedCallStage()
        #expect(try stage.asks(form("0")) == [])
        #expect(stage.waits(ms: 30) == ["ask 1: elicitation-1 (1)"])
        return stage
    }

    static func form(_ id: String) -> String {
        #"{"jsonrpc":"2.0","id":\#(id),"method":"elicitation/create","params":{"message":"m","requestedSchema":{}}}"#
    }

    static func page(_ id: String, elicitation: String = "e") -> String {
        #"{"jsonrpc":"2.0","id":\#(id),"method":"elicitation/create","params":{"mode":"url","message":"m","#
            + #""url":"https://a/","elicitationId":"\#(elicitation)"}}"#
    }

    static func roots(_ id: String) -> String { #"{"jsonrpc":"2.0","id":\#(id),"method":"roots/list"}"# }

    static func sampling(_ id: String) -> String {
        #"{"jsonrpc":"2.0","id":\#(id),"method":"sampling/createMessage","params":{"messages":[],"maxTokens":1}}"#
    }

    static func progress(_ value: Int) -> String {
        #"{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":2,"progress":\#(value)}}"#
    }

    static func log(_ data: String) -> String {
        #"{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":"\#(data)"}}"#
    }

    var deadline: Duration? { call.deadline.map { $0 - now } }
    var isDone: Bool { call.isDone }
    var isRunning: Bool { call.isRunning }
    var taskQuestions: TaskQuestions { call.taskQuestions }
    var phase: CallPhase { call.phase }
    var round: Int { call.round }

    // MARK: Events

    mutating func asks(_ text: String, resumptions: Int = 1) throws -> [String] {
        let message = try Envelope(JSONDocument(Array(text.utf8)))
        let hasPlace = hasPlace
        var taken = 0
        let actions = call.addQuestion(message, resumptions: resumptions, at: now) {
            taken += 1
            return hasPlace
        }
        placesTaken += taken
        return words(actions)
    }

    mutating func requires(_ pages: [String]) throws -> [String] {
        let elicitations = pages.map {
            #"{"mode":"url","message":"m","url":"https://a/","elicitationId":"\#($0)"}"#
        }.joined(separator: ",")
        let text = #"{"code":-32042,"message":"m","data":{"elicitations":[\#(elicitations)]}}"#
        let document = try JSONDocument(Array(text.utf8))
        guard case .ask(let questions) = URLElicitationRequired(document.root, in: document, declared: .url) else {
            throw Unexpected()
        }
        let hasPlace = hasPlace
        return words(call.requirePages(questions, at: now) { hasPlace })
    }

    mutating func isSent() { call.noteSending() }

    mutating func isNotSent() { call.notSent() }

    mutating func makesRoom() -> [String] { words(call.yieldSession()) }

    mutating func isAnothers() -> [String] { words(call.leaveToAnother()) }

    func isDeserted(after seconds: Int) -> Bool { call.isDeserted(at: now + .seconds(seconds)) }

    /// Whether a retry with these answers would change what the server has.
    func takes(_ responses: String) throws -> Bool {
        call.takesAnswers(
            try InputResponses(of: Self.request(#""name":"t","inputResponses":\#(responses)"#, Self.everything)))
    }

    var isSpare: Bool { call.isSpare }

    mutating func withdraws(_ id: String) -> [String] { words(call.withdrawQuestion(Array(id.utf8), at: now)) }

    mutating func completes(_ elicitation: String) -> [String] {
        words(call.completeElicitation(Array(elicitation.utf8), at: now))
    }

    mutating func says(_ text: String) throws -> [String] {
        let message = try Envelope(JSONDocument(Array(text.utf8)))
        return words(call.forwardNotification(Heard(message: message, kind: ServerNotification(message))))
    }

    mutating func answers(_ response: String = "done", isFailure: Bool = false) -> [String] {
        words(call.deliverResponse(response, isFailure: isFailure, at: now))
    }

    /// The next leg: 2 is the first retry.
    mutating func retries(_ responses: String, capabilities: String = everything) throws -> [String] {
        lastLeg += 1
        let request = try Self.request(#""name":"t","inputResponses":\#(responses)"#, capabilities)
        let leg = ParkedCall<String>.Leg(id: lastLeg, capabilities: try Self.capabilities(capabilities))
        return words(call.addRetry(leg, try InputResponses(of: request), at: now))
    }

    mutating func leaves(_ leg: Int) -> [String] { words(call.removeLeg(leg, at: now)) }

    mutating func waits(ms: Int = 0, seconds: Int = 0) -> [String] {
        now = now + .milliseconds(ms) + .seconds(seconds)
        return words(call.performDue(at: now))
    }

    /// What is wrong with an answer, with a key that needs escaping.
    static let flaw: InputFlaw = {
        do {
            let request = try request(#""name":"t","inputResponses":{"a\"\\":{}}"#, "{}")
            let text =
                #"{"jsonrpc":"2.0","id":0,"method":"roots/list","params":{"_meta":{"dev.remora/inputKey":"a\"\\"}}}"#
            let question = try InputRequest(Envelope(JSONDocument(Array(text.utf8))), declared: .roots)
            var keys = InputKeys()
            _ = try InputResponses(of: request).inputAnswer(keys.freeKey(for: question), to: question, in: .v2025_11_25)
            preconditionFailure("the answer is not wrong")
        } catch let flaw as InputFlaw {
            return flaw
        } catch {
            preconditionFailure("\(error)")
        }
    }()

    // MARK: In words

    private struct Unexpected: Error {}

    private static func capabilities(_ text: String) throws -> InputCapabilities {
        let document = try JSONDocument(Array(text.utf8))
        return InputCapabilities(document.root, in: document)
    }

    static func request(_ params: String, _ capabilities: String, method: String = "tools/call") throws -> ModernRequest
    {
        let text =
            #"{"jsonrpc":"2.0","id":1,"method":"\#(method)","params":{\#(params),"_meta":"#
            + #"{"io.modelcontextprotocol/clientCapabilities":\#(capabilities)}}}"#
        let envelope = try Envelope(JSONDocument(Array(text.utf8)))
        guard case .request(let id, let name) = envelope.kind, let method = Method(name, in: envelope.document),
            let params = envelope.params, let meta = envelope.meta
        else { throw Unexpected() }
        return ModernRequest(
            document: envelope.document, id: id, method: method, params: params,
            meta: RequestMeta(meta, in: envelope.document))
    }

    private func words(_ actions: [ParkedCall<String>.Action]) -> [String] { actions.map(words) }

    private func words(_ action: ParkedCall<String>.Action) -> String {
        switch action {
        case .reply(let text): "reply \(String(decoding: text, as: UTF8.self))"
        case .ask(let legs, let questions, let round):
            "ask \(words(legs)): \(questions.map(\.key).joined(separator: " ")) (\(round))"
        case .forward(let legs, let heard):
            "forward \(words(legs)): \(String(decoding: heard.message.document.bytes, as: UTF8.self))"
        case .finishLegs(let legs, .answered(let response)): "finish \(words(legs)): \(response)"
        case .finishLegs(let legs, .declined): "finish \(words(legs)): declined"
        case .finishLegs(let legs, .missingCapabilities(let missing)):
            "finish \(words(legs)): missing \(String(decoding: missing.requiredCapabilities, as: UTF8.self))"
        case .reject(let leg, .wrongAnswer(let flaw)): "reject \(leg.id): wrong \(flaw.key ?? "all")"
        case .reject(let leg, .missingCapabilities(let missing)):
            "reject \(leg.id): missing \(String(decoding: missing.requiredCapabilities, as: UTF8.self))"
        case .reject(let leg, .lost): "reject \(leg.id): lost"
        case .reject(let leg, .full): "reject \(leg.id): full"
        case .cancel: "cancel"
        case .dispatch: "dispatch"
        case .release: "release"
        case .discardSession: "discard"
        case .leaveSession: "leave session"
        case .warn(let rounds): "warn \(rounds)"
        case .forget: "forget"
        }
    }

    private func words(_ legs: [ParkedCall<String>.Leg]) -> String {
        legs.map { "\($0.id)" }.joined(separator: ",")
    }
}
