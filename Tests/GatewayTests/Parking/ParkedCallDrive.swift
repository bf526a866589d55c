import Crypto
import JSONText
import MCP
import Reactor
import TestSupport
import Translation

@testable import Gateway

/// One parked call to which random things happen in random order, and what has to be true of it all the time.
struct ParkedCallDrive {
    private typealias Call = ParkedCall<Int>
    private typealias Stage = ParkedCallStage

    /// What is made once: to read it again would take longer than all the rest.
    private struct Material {
        let everything: InputCapabilities
        let questions: [Envelope]
        let ids: [[UInt8]]
        let pages: [[InputRequest]]
        let notifications: [Heard]
        let responses: [InputResponses]
        let given: GivenAnswers
        /// A form, and a page.
        let takenUp: [ParkedCall<Int>.Question]

        init() throws {
            func message(_ text: String) throws -> Envelope { try Envelope(JSONDocument(Array(text.utf8))) }
            func form(_ id: String, _ text: String) -> String {
                #"{"jsonrpc":"2.0","id":\#(id),"method":"elicitation/create","params":{"message":"\#(text)","requestedSchema":{}}}"#
            }
            let document = try JSONDocument(Array(Stage.everything.utf8))
            everything = InputCapabilities(document.root, in: document)
            let ids = ["0", #""0""#, "1", "2", "3", "4", "5"]
            self.ids = ids.map { Array($0.utf8) }
            questions = try ids.flatMap { id in
                [
                    form(id, "first"), form(id, "second"), Stage.page(id), Stage.page(id, elicitation: "f"),
                    Stage.page(id, elicitation: id == "1" ? "e" : "g"), Stage.roots(id), Stage.sampling(id),
                    #"{"jsonrpc":"2.0","id":\#(id),"method":"unknown/method"}"#,
                    #"{"jsonrpc":"2.0","id":\#(id),"method":"elicitation/create"}"#,
                ]
            }.map(message)
            pages = try [["e"], ["e", "f"], ["f", "g", "g"]].map { names in
                try names.compactMap { name in
                    let text = #"{"mode":"url","message":"m","url":"https://a/","elicitationId":"\#(name)"}"#
                    let error = #"{"code":-32042,"message":"m","data":{"elicitations":[\#(text)]}}"#
                    let document = try JSONDocument(Array(error.utf8))
                    guard
                        case .ask(let pages) = URLElicitationRequired(document.root, in: document, declared: .url)
                    else { return nil }
                    return pages.first
                }
            }
            notifications = try [Stage.log("l"), Stage.progress(1)].map { text in
                let message = try message(text)
                return Heard(message: message, kind: ServerNotification(message))
            }
            let yes = #"{"action":"accept","content":{}}"#
            let all = (1...9).flatMap { number in
                [
                    #""elicitation-\#(number)":\#(yes)"#, #""roots-\#(number)":{"roots":[]}"#,
                    #""sampling-\#(number)":{"role":"assistant","content":{"type":"text","text":""},"model":"m"}"#,
                ]
            }
            let texts =
                ["{\(all.joined(separator: ","))}", "{}", #"{"elicitation-1":7,"roots-2":{}}"#]
                + (1...6).map { #"{"elicitation-\#($0)":\#(yes)}"# }
                + (1...4).map { #"{"elicitation-\#($0)":{"action":"decline"},"roots-\#($0)":{"roots":[]}}"# }
            func retry(_ responses: String) throws -> ModernRequest {
                try Stage.request(#""name":"t","inputResponses":\#(responses)"#, Stage.everything)
            }
            responses = try texts.map { try InputResponses(of: retry($0)) }
            func digest(_ text: String) throws -> [UInt8] {
                RequestState.digest(of: try InputRequest(message(form("0", text)), declared: .form))
            }
            let state = RequestState(
                issued: UnixTime(seconds: 0), expires: UnixTime(seconds: 1), principal: [],
                request: RequestState.digest(of: try retry("{}")),
                call: CallID { [UInt8](repeating: 1, count: $0) }, phase: .dispatched, round: 2, owner: [],
                resumption: RequestState.Resumption(
                    sessionID: Array("s".utf8), cookies: [], revision: .v2025_11_25, legacyRequestID: 7,
                    lastEventID: Array("e".utf8),
                    pending: [
                        .init(
                            key: Array("elicitation-2".utf8), legacyID: Array("1".utf8), kind: .form,
                            question: try digest("second"))
                    ],
                    answers: [
                        .init(key: Array("elicitation-1".utf8), text: Array(yes.utf8), question: try digest("first"))
                    ]))
            given = try GivenAnswers(state, retry(#"{"elicitation-2":\#(yes)}"#))
            takenUp = [InputRequest.Kind.form, .url(elicitationID: Array("e".utf8))].map { kind in
                ParkedCall<Int>.Question(
                    key: "elicitation-2", request: InputRequest(asked: kind, legacyID: Array("1".utf8)), isAsked: true)
            }
        }
    }

    private static let material = try? Material()

    private let material: Material
    private var random: SplitMix
    private var call: Call
    private var now = Instant(nanoseconds: 1_000_000_000)
    private let times = ParkingTimes()
    private var lastLeg = 0
    private var hasPlace = true
    private let beganWithPlace: Bool
    /// Whether most of what happens is about pages: it takes long to get far with them.
    private let isAboutPages: Bool
    private(set) var events = 0

    // What has happened.
    private var waiting: [Int] = []
    /// Hashes of what arrived under each id.
    private var arrived: [[UInt8]: Set<Int>] = [:]
    private var replies: [[UInt8]: Int] = [:]
    private var resumptions = 0
    private var places = 0
    private var cancellations = 0
    private var sessionEnds = 0
    private var isForgotten = false
    private var rounds: Int

    /// What makes the call depends on the seed.
    init(seed: UInt64) throws(Violation) {
        guard let material = Self.material else { throw Violation(what: "the questions cannot be read") }
        self.material = material
        random = SplitMix(state: seed &* 0x9E37_79B9)
        let legs = (1...3).map { Call.Leg(id: $0, capabilities: material.everything) }
        let revision = Revision.v2025_11_25
        let kind = random.below(6)
        switch kind {
        case 0, 1:
            call = Call(legs[0], phase: kind == 0 ? .dispatched : .predispatch, revision: revision, times: times)
        case 2, 3:
            let some = Array(legs.prefix(kind == 2 ? 0 : 1 + random.below(3)))
            call = Call(successor: some, round: 2, material.given, revision: revision, times: times, at: now)
        default:
            call = Call(
                takenUp: [material.takenUp[random.below(2)]], round: 2, keys: material.given.keys, revision: revision,
                times: times, isAwaited: kind == 4, at: now)
            for question in call.open { if let id = question.request.legacyID { arrived[id] = [0] } }
        }
        beganWithPlace = kind > 1
        isAboutPages = random.below(3) == 0
        rounds = call.round
        waiting = call.legs.map(\.id)
        lastLeg = waiting.count
    }

    /// Until the call is forgotten.
    mutating func run() throws(Violation) -> Int {
        for _ in 0..<(10 + random.below(60)) where !isForgotten { try event() }
        // It comes to its end whatever was before: the server answers, and no retry comes any more.
        while !isForgotten {
            let wasEvents = events
            if random.below(2) == 0 { try note { $0.call.deliverResponse(0, isFailure: false, at: $0.now) } }
            if let leg = waiting.first, !isForgotten {
                waiting.removeFirst()
                try note { $0.call.removeLeg(leg, at: $0.now) }
            }
            if let deadline = call.deadline {
                now = max(now, deadline)
                try note { $0.call.performDue(at: $0.now) }
            } else if call.legs.isEmpty, !isForgotten {
                throw Violation(what: "it waits for nobody, without a deadline")
            }
            if events > wasEvents + 200 { throw Violation(what: "it does not come to its end") }
        }
        // Nothing happens any more.
        for _ in 0..<4 { try event() }
        guard sessionEnds == 1 else { throw Violation(what: "the session was given back \(sessionEnds) times") }
        guard waiting.isEmpty else { throw Violation(what: "legs \(waiting) still wait") }
        return events
    }

    private mutating func event() throws(Violation) {
        let pages = [0, 0, 8, 8, 8, 11, 11, 11, 12, 12, 13, 16, 19, 19, 20, 21, 21, 21, 21, 23]
        switch isAboutPages ? pages[random.below(pages.count)] : random.below(26) {
        case 0...5:
            var index = random.below(material.questions.count)
            if isAboutPages { index += 2 + random.below(3) - index % 9 }
            let question = material.questions[index]
            let has = hasPlace
            var taken = 0
            if case .request(let id, _) = question.kind {
                arrived[Array(question.document.raw(id)), default: []].insert(question.document.bytes.hashValue)
            }
            try note {
                $0.call.addQuestion(question, resumptions: $0.resume(), at: $0.now) {
                    taken += 1
                    return has
                }
            }
            try took(taken, has)
        case 6, 7:
            let id = material.ids[random.below(material.ids.count)]
            try note { $0.call.withdrawQuestion(id, at: $0.now) }
        case 8, 9:
            let page = Array(["e", "f", "g", "h"][random.below(isAboutPages ? 3 : 4)].utf8)
            try note { $0.call.completeElicitation(page, at: $0.now) }
        case 10:
            let heard = material.notifications[random.below(material.notifications.count)]
            try note { $0.call.forwardNotification(heard) }
        case 11...15:
            lastLeg += 1
            let isAble = random.below(8) > 0
            let leg = Call.Leg(id: lastLeg, capabilities: isAble ? material.everything : [.form])
            let responses = material.responses[random.below(isAboutPages ? 2 : material.responses.count)]
            waiting.append(lastLeg)
            try note { $0.call.addRetry(leg, responses, at: $0.now) }
        case 16...18:
            let leg = 1 + random.below(lastLeg + 1)
            waiting.removeAll { $0 == leg }
            try note { $0.call.removeLeg(leg, at: $0.now) }
        case 19, 20:
            now = now + .milliseconds(random.below(60))
            try note { $0.call.performDue(at: $0.now) }
        case 21:
            // Just to the moment, or far beyond.
            if random.below(isAboutPages ? 40 : 4) == 0 {
                now = now + .seconds(random.below(700))
            } else if let deadline = call.deadline {
                now = max(now, deadline)
            }
            try note { $0.call.performDue(at: $0.now) }
        case 22:
            if random.below(4) == 0 {
                let isFailure = random.below(2) == 0
                try note { $0.call.deliverResponse(1, isFailure: isFailure, at: $0.now) }
            }
        case 23:
            let pages = material.pages[random.below(material.pages.count)]
            let has = hasPlace
            var taken = 0
            try note {
                $0.call.requirePages(pages, at: $0.now) {
                    taken += 1
                    return has
                }
            }
            try took(taken, has)
        case 24:
            if random.below(4) == 0 { try note { $0.call.yieldSession() } }
        default:
            switch random.below(4) {
            case 0: call.noteSending()
            // Only a call without a waiting request is not sent after all, or one that has its questions first.
            case 1 where call.legs.isEmpty: call.notSent()
            case 2: hasPlace.toggle()
            default: break
            }
        }
    }

    /// Streams are taken up again all the time.
    private mutating func resume() -> Int {
        resumptions += 1
        return resumptions
    }

    private mutating func took(_ taken: Int, _ has: Bool) throws(Violation) {
        guard taken <= 1 else { throw Violation(what: "a place was taken \(taken) times at once") }
        if has { places += taken }
        guard places <= (beganWithPlace ? 0 : 1) else { throw Violation(what: "it has several places") }
    }

    /// Has something happen, and looks at what is to be done.
    private mutating func note(_ event: (inout Self) -> [ParkedCall<Int>.Action]) throws(Violation) {
        events += 1
        let phase = call.phase
        for action in event(&self) { try add(action, phase) }
        guard call.legs.map(\.id) == waiting else {
            throw Violation(what: "legs \(call.legs.map(\.id)) wait instead of \(waiting)")
        }
        if call.isWanted, waiting.isEmpty, call.deadline == nil { throw Violation(what: "nobody waits, for ever") }
        if !call.isWanted, !waiting.isEmpty { throw Violation(what: "\(waiting) wait for what is over") }
        if call.isSpare, !waiting.isEmpty { throw Violation(what: "\(waiting) wait, and it is spared") }
        if isForgotten, call.deadline != nil { throw Violation(what: "a deadline of what is forgotten") }
        if let deadline = call.deadline, deadline < now { throw Violation(what: "a deadline that has passed") }
    }

    private mutating func add(_ action: ParkedCall<Int>.Action, _ phase: CallPhase) throws(Violation) {
        switch action {
        case .reply(let text):
            let id = Array(text.dropFirst(#"{"jsonrpc":"2.0","id":"#.utf8.count).prefix { $0 != UInt8(ascii: ",") })
            replies[id, default: 0] += 1
            // Other words under an id are another question; the same words are the same one, which came twice.
            guard replies[id, default: 0] <= arrived[id, default: []].count else {
                throw Violation(what: "\(String(decoding: id, as: UTF8.self)) is answered twice")
            }
        case .ask(let legs, let questions, let round):
            rounds += 1
            guard !questions.isEmpty, !legs.isEmpty else { throw Violation(what: "nobody is asked, or nothing") }
            guard Set(questions.map(\.key)).count == questions.count, questions.allSatisfy(\.isAsked) else {
                throw Violation(what: "a key for two questions")
            }
            guard questions.allSatisfy({ !$0.request.text.isEmpty }) else {
                throw Violation(what: "a question is asked that is not known")
            }
            guard round == rounds, call.round == rounds else { throw Violation(what: "round \(round) is \(rounds)") }
            for leg in legs { try end(leg.id) }
        case .finishLegs(let legs, _):
            guard !legs.isEmpty else { throw Violation(what: "nobody is answered") }
            for leg in legs { try end(leg.id) }
        case .reject(let leg, _):
            try end(leg.id)
        case .forward(let legs, _):
            guard legs.allSatisfy({ waiting.contains($0.id) }), !legs.isEmpty else {
                throw Violation(what: "somebody hears who does not wait")
            }
        case .dispatch:
            guard !call.legs.isEmpty, phase != .dispatched else {
                throw Violation(what: "it is sent for nobody, or twice")
            }
        case .cancel:
            cancellations += 1
            guard cancellations == 1, sessionEnds == 0 else { throw Violation(what: "it is cancelled twice") }
        case .release, .discardSession, .leaveSession:
            sessionEnds += 1
            guard sessionEnds == 1, !isForgotten else { throw Violation(what: "the session is given back twice") }
        case .warn:
            break
        case .forget:
            guard !isForgotten, sessionEnds == 1 else { throw Violation(what: "forgotten twice, or with its session") }
            isForgotten = true
        }
    }

    private mutating func end(_ leg: Int) throws(Violation) {
        guard let index = waiting.firstIndex(of: leg) else { throw Violation(what: "leg \(leg) is answered twice") }
        waiting.remove(at: index)
    }
}
