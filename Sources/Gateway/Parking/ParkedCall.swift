import JSONText
import MCP
import Reactor
import Translation

/// A call whose server may ask its client (docs/translation.md §6): the part without I/O and without a clock. Events go in
/// with the moment at which they happen, and what is to be done comes out, in its order.
///
/// A call outlives the requests of its client: the one that began it, and the retries with answers. Each of those that
/// waits is a *leg*.
///
/// `Response` is what the server answered in the end; it is only handed through.
struct ParkedCall<Response: Sendable>: Sendable {
    private enum State: Sendable {
        /// The server works, and legs wait, or the last one went away a moment ago. To `gathering` (a question), `parked` (pages
        /// to visit first, or the last leg goes to a browser), `done` (the response), `abandoned` (the last leg stays away),
        /// `forgotten` (the response, and no retry can come for it).
        case running(Wait)
        /// A question came, and others may come with it.
        /// To `parked` (the client is asked, or no leg is left to ask), `running` (the server takes them back), `done` and
        /// `forgotten` (the response wins), `abandoned` (the last leg goes).
        case gathering(quiet: Instant, end: Instant)
        /// No leg waits: the client has the questions, or every client has left. To `running` or `gathering` (a retry), `done`
        /// (the response), `abandoned` (no retry comes), `forgotten` (no retry comes and nothing runs, or the call makes room).
        case parked(until: Instant)
        /// The response is kept for a client that did not get it.
        /// To `forgotten`.
        case done(Outcome, until: Instant)
        /// The server was told to stop. `leftovers`: when open questions are answered, unless they have been.
        /// To `forgotten` (the response, or none in time).
        case abandoned(leftovers: Instant?, end: Instant)
        /// The end.
        case forgotten
    }

    private enum Wait: Sendable {
        case response
        /// For what the user does on a page.
        case browser(until: Instant)
    }

    /// Questions that may be open at once, and the bytes of those: they are kept to be asked again. More is a server that has
    /// lost its way.
    private static var maxOpen: Int { 32 }
    private static var maxBytes: Int { 4 << 20 }
    /// Clients of published SDKs give up after 10 rounds.
    private static var manyRounds: Int { 8 }

    /// The revision of the session: what answers have to look like.
    private let revision: Revision
    private let times: ParkingTimes

    private var state = State.running(.response)
    private(set) var phase: CallPhase
    private(set) var round = 0
    /// While there is none, the call is parked or at its end, or `graceEnd` is set: it never waits without a leg and without a
    /// deadline.
    private(set) var legs: [Leg]
    /// Of the leg that came last.
    private var lastCapabilities: InputCapabilities
    /// When a call is given up whose last leg went away.
    private var graceEnd: Instant?

    private(set) var open: [Question] = []
    private var keys = InputKeys()
    private var settled = SettledQuestions()
    /// Questions to open a page that the user agreed to, and of which the server has not said that it is over.
    private var browsers: [InputRequest] = []
    /// Pages that were over before the client said that it opened them.
    private var visited: [InputRequest.Kind] = []
    /// What the client would have needed for the questions that were refused.
    private var refused: InputCapabilities = []
    private var kept = KeptNotifications()
    private var hasPlace = false
    /// What the client answered to a run of this call that is lost.
    private var given: GivenAnswers?

    /// A call that was just sent, or that waits for a session (`predispatch`): questions of the handshake are asked first,
    /// and then it is sent.
    init(_ leg: Leg, phase: CallPhase = .dispatched, revision: Revision, times: ParkingTimes) {
        self.phase = phase
        legs = [leg]
        lastCapabilities = leg.capabilities
        self.revision = revision
        self.times = times
    }

    /// Another run of a call that is lost, which has its place already.
    ///
    /// - Parameters:
    ///   - legs: every retry that waits for it; without one it waits for the next.
    ///   - round: how often the client was asked before.
    init(
        successor legs: [Leg], round: Int, _ given: GivenAnswers, revision: Revision, times: ParkingTimes,
        at now: Instant
    ) {
        phase = .predispatch
        self.legs = legs
        lastCapabilities = legs.last?.capabilities ?? []
        self.revision = revision
        self.times = times
        self.round = round
        hasPlace = true
        self.given = given
        if legs.isEmpty { state = .parked(until: now + times.grace) }
        for key in given.keys { keys.takeKey(key) }
    }

    /// A call whose run another replica began, and that is taken up where it was: its client has these questions.
    ///
    /// - Parameter isAwaited: whether its retry is about to come, and has not broken off.
    init(
        takenUp open: [Question], round: Int, keys taken: [String], revision: Revision, times: ParkingTimes,
        isAwaited: Bool = true, at now: Instant
    ) {
        phase = .dispatched
        legs = []
        lastCapabilities = []
        self.revision = revision
        self.times = times
        self.open = open
        self.round = round
        hasPlace = true
        state = .parked(until: now + (isAwaited ? times.park : times.grace))
        for key in taken { keys.takeKey(key) }
    }

    /// Whether the response is there, and only kept.
    var isDone: Bool {
        if case .done = state { return true }
        return false
    }

    /// Whether the server works, and nothing is asked.
    var isRunning: Bool {
        if case .running(.response) = state { return true }
        return false
    }

    /// For a task that the call becomes: what it has asked is not asked again.
    var taskQuestions: TaskQuestions {
        TaskQuestions(declared: capabilities, keys: keys, settled: settled, refused: refused)
    }

    /// Whether anybody may still want the response.
    var isWanted: Bool {
        switch state {
        case .running, .gathering, .parked: true
        case .done, .abandoned, .forgotten: false
        }
    }

    /// Whether no leg waits for the call. Its place and its session are then the first to go when another call needs one.
    var isSpare: Bool {
        switch state {
        case .parked, .abandoned: true
        case .running, .gathering, .done, .forgotten: false
        }
    }

    /// When ``performDue(at:)`` has something to do; nil when it has not.
    var deadline: Instant? {
        let own: Instant? =
            switch state {
            case .running(.response), .forgotten: nil
            case .running(.browser(let until)), .parked(let until), .done(_, let until): until
            case .gathering(let quiet, let end): min(quiet, end)
            case .abandoned(let leftovers, let end): leftovers ?? end
            }
        return [own, graceEnd].compactMap(\.self).min()
    }

    /// What a client of this call can be asked: what all of its legs can.
    var capabilities: InputCapabilities {
        legs.first.map { legs.reduce($0.capabilities) { $0.intersection($1.capabilities) } } ?? lastCapabilities
    }

    /// The handshake came to its end without a question, and the call was sent.
    mutating func noteSending() { phase = .dispatched }

    /// The call was not sent after all: it is, once its session has nothing to ask and a leg is there to bring it.
    mutating func notSent() { if isWanted { phase = .predispatch } }

    // MARK: The server

    /// The server asks.
    ///
    /// - Parameters:
    ///   - resumptions: how often streams of the session have been taken up again: what came before may have come once more. Each
    ///     question is answered at most once.
    ///   - takePlace: called with the first question; false when too many calls are parked. The giver of a place takes it
    ///     back with `forget`.
    mutating func addQuestion(
        _ message: Envelope, resumptions: Int, at now: Instant, takePlace: () -> Bool
    ) -> [Action] {
        guard case .request(let id, _) = message.kind else { return [] }
        let legacyID = Array(message.document.raw(id))
        if let same = open.firstIndex(where: { $0.request.legacyID == legacyID && !$0.isReminder }) {
            if open[same].request.isSame(as: message) { return [] }
            // An answer would be to the later one alone.
            takeBack(at: same)
        }
        if settled.containsMessage(message, id: legacyID, resumptions: resumptions) { return [] }
        var question: InputRequest
        do throws(RefusedInput) {
            question = try InputRequest(message, declared: capabilities)
            question.resumptions = resumptions
            guard hasRoom(for: question) else { throw .tooMany(question) }
        } catch {
            settled.insertMessage(message, id: legacyID, resumptions: resumptions)
            refused.formUnion(error.missing)
            return [.reply(error.reply)]
        }
        switch state {
        case .abandoned, .done, .forgotten:
            settled.insertQuestion(question)
            return question.leftover.map { [.reply($0)] } ?? []
        case .running, .gathering, .parked:
            break
        }
        let revision = revision
        if let (key, answer) = given?.takeAnswer(for: question, in: revision) {
            let actions = deliverAnswer(answer, to: Question(key: key, request: question, isAsked: true))
            guard case .running = state else { return actions }
            return actions + (phase == .dispatched ? continueCall(at: now) : [])
        }
        if !hasPlace { hasPlace = takePlace() }
        guard hasPlace else {
            settled.insertQuestion(question)
            return [.reply(RefusedInput.tooMany(question).reply)]
        }
        open.append(Question(key: keys.freeKey(for: question), request: question))
        switch state {
        case .running:
            state = .gathering(quiet: now + times.quiet, end: now + times.window)
        case .gathering(_, let end):
            state = .gathering(quiet: now + times.quiet, end: end)
        default:
            break
        }
        return []
    }

    private func hasRoom(for question: InputRequest) -> Bool {
        let bytes = open.reduce(question.text.count) { $0 + $1.request.text.count }
        // Pages that are open in a browser are kept to be asked for again.
        let visiting = browsers.reduce(0) { $0 + $1.text.count }
        return open.count < Self.maxOpen && settled.count + open.count < SettledQuestions.maxCount
            && bytes + visiting <= Self.maxBytes
    }

    /// The server takes a question back (`notifications/cancelled` with its own id).
    mutating func withdrawQuestion(_ legacyID: [UInt8], at now: Instant) -> [Action] {
        guard let index = open.firstIndex(where: { $0.request.legacyID == legacyID && !$0.isReminder }) else {
            return []
        }
        takeBack(at: index)
        guard case .gathering = state, open.isEmpty else { return [] }
        return continueCall(at: now)
    }

    private mutating func takeBack(at index: Int) {
        let question = open.remove(at: index)
        forgetVisit(question.request.kind)
        settled.insertQuestion(question.request)
    }

    /// `notifications/elicitation/complete`: the user has been to the page.
    mutating func completeElicitation(_ elicitationID: [UInt8], at now: Instant) -> [Action] {
        let kind = InputRequest.Kind.url(elicitationID: elicitationID)
        if open.contains(where: { $0.request.kind == kind && !$0.isReminder }), !visited.contains(kind) {
            visited.append(kind)
        }
        guard browsers.contains(where: { $0.kind == kind }) else { return [] }
        browsers.removeAll { $0.kind == kind }
        open.removeAll { $0.isReminder && $0.request.kind == kind }
        switch state {
        case .running(.browser) where browsers.isEmpty: return continueCall(at: now)
        // It was the last that the client was to be asked.
        case .gathering where open.isEmpty: return continueCall(at: now)
        case .running, .gathering, .parked, .done, .abandoned, .forgotten: return []
        }
    }

    /// Pages that were done before are remembered for as long as a client may still report that they were opened.
    private mutating func forgetVisit(_ kind: InputRequest.Kind) {
        if visited.isEmpty || open.contains(where: { $0.request.kind == kind }) { return }
        visited.removeAll { $0 == kind }
    }

    /// The server says something about the call.
    mutating func forwardNotification(_ heard: Heard) -> [Action] {
        switch state {
        case .running, .gathering, .parked:
            if !legs.isEmpty { return [.forward(legs, heard)] }
            kept.keepNotification(heard)
            return []
        case .done, .abandoned, .forgotten:
            return []
        }
    }

    /// The server has answered the call, or never will.
    ///
    /// - Parameter isFailure: whether it said that the call failed (an error, or `isError`). After a question that the client
    ///   could not be asked, that was the reason (basic/index, "MissingRequiredClientCapability").
    mutating func deliverResponse(_ response: Response, isFailure: Bool, at now: Instant) -> [Action] {
        switch state {
        case .running, .gathering, .parked:
            let isMissing = isFailure && !refused.isEmpty
            // The server does not wait for these answers, or no longer: it hears that none will come.
            let leftovers = answerLeftovers()
            return leftovers + [.release]
                + finishLegs(isMissing ? .missingCapabilities(refused) : .answered(response), at: now)
        case .abandoned:
            state = .forgotten
            return [.release, .forget]
        case .done, .forgotten:
            return []
        }
    }

    private mutating func finishLegs(_ outcome: Outcome, at now: Instant) -> [Action] {
        let waiting = legs
        legs = []
        letGo()
        let answers: [Action] = waiting.isEmpty ? [] : [.finishLegs(waiting, outcome)]
        guard round > 0 else {
            // No requestState was given out: no retry can come.
            state = .forgotten
            return answers + [.forget]
        }
        state = .done(outcome, until: now + times.park)
        return answers
    }

    /// Nothing is asked any more.
    private mutating func letGo() {
        open = []
        browsers = []
        visited = []
        graceEnd = nil
        given = nil
    }

    /// The server did not run the call (`-32042`): the user has to go to these pages first, and the session is kept.
    ///
    /// - Parameter takePlace: as of ``addQuestion(_:resumptions:at:takePlace:)``.
    mutating func requirePages(_ pages: [InputRequest], at now: Instant, takePlace: () -> Bool) -> [Action] {
        switch state {
        case .abandoned:
            state = .forgotten
            return [.release, .forget]
        case .done, .forgotten:
            return []
        case .running, .gathering, .parked:
            break
        }
        if !hasPlace { hasPlace = takePlace() }
        guard hasPlace, pages.reduce(0, { $0 + $1.text.count }) <= Self.maxBytes else {
            let waiting = legs
            legs = []
            letGo()
            state = .forgotten
            return [.release] + waiting.map { .reject($0, .full) } + [.forget]
        }
        phase = .replay
        graceEnd = nil
        browsers = []
        visited = []
        open = pages.map { Question(key: keys.freeKey(for: $0), request: $0) }
        if !legs.isEmpty { return askQuestions(at: now) }
        if case .parked = state { return [] }
        state = .parked(until: now + times.park)
        return []
    }

    // MARK: The client

    /// Whether a retry would change what the server has: it answers something, or has the call sent.
    func takesAnswers(_ responses: InputResponses) -> Bool {
        guard isWanted else { return false }
        return phase != .dispatched || open.contains { $0.isAsked && responses.answerText($0.key) != nil }
    }

    /// A retry, whose `requestState` named this call.
    mutating func addRetry(_ leg: Leg, _ responses: InputResponses, at now: Instant) -> [Action] {
        switch state {
        case .done(let outcome, _):
            return flushKept(to: leg) + [.finishLegs([leg], outcome)]
        case .abandoned, .forgotten:
            return [.reject(leg, .lost)]
        case .running, .gathering, .parked:
            break
        }
        let missing = open.reduce(into: InputCapabilities()) { $0.formUnion($1.request.needs) }
            .subtracting(leg.capabilities)
        guard missing.isEmpty else { return [.reject(leg, .missingCapabilities(missing))] }
        var answers: [(question: Question, answer: InputAnswer)] = []
        do throws(InputFlaw) {
            for question in open where question.isAsked {
                guard let answer = try responses.inputAnswer(question.key, to: question.request, in: revision) else {
                    guard question.request.isKnown else { throw InputFlaw.missingAnswer(question.key) }
                    continue
                }
                answers.append((question, answer))
            }
        } catch {
            return [.reject(leg, .wrongAnswer(error))]
        }
        legs.append(leg)
        lastCapabilities = leg.capabilities
        graceEnd = nil
        var actions = flushKept(to: leg)
        for (question, answer) in answers {
            open.removeAll { $0.key == question.key }
            if phase == .replay, !answer.isAccepted { return actions + [.release] + finishLegs(.declined, at: now) }
            actions += deliverAnswer(answer, to: question)
        }
        return actions + continueCall(at: now)
    }

    private mutating func flushKept(to leg: Leg) -> [Action] { kept.takeAll().map { .forward([leg], $0) } }

    private mutating func deliverAnswer(_ answer: InputAnswer, to question: Question) -> [Action] {
        if question.isReminder { return [] }
        if case .url = question.request.kind, answer.isAccepted, !visited.contains(question.request.kind) {
            browsers.append(question.request)
        }
        forgetVisit(question.request.kind)
        guard question.request.legacyID != nil, let reply = answer.reply else { return [] }
        settled.insertQuestion(question.request)
        return [.reply(reply)]
    }

    /// A leg's client went away.
    mutating func removeLeg(_ id: Int, at now: Instant) -> [Action] {
        guard let index = legs.firstIndex(where: { $0.id == id }) else { return [] }
        legs.remove(at: index)
        guard legs.isEmpty else { return [] }
        guard browsers.isEmpty else {
            parkCall(at: now)
            return []
        }
        // To close the first request is to cancel it (basic/patterns/cancellation); a retry may be sent again.
        guard round > 0 else { return abandonCall(at: now) }
        graceEnd = now + times.grace
        return []
    }

    // MARK: Time

    /// Whether what is due is to give the call up, because its client did not come back.
    func isDeserted(at now: Instant) -> Bool {
        if case .parked(let until) = state { return until <= now }
        return false
    }

    /// Does what is due.
    mutating func performDue(at now: Instant) -> [Action] {
        var actions: [Action] = []
        while let deadline, deadline <= now { actions += dueActions(at: now) }
        return actions
    }

    private mutating func dueActions(at now: Instant) -> [Action] {
        if let end = graceEnd, end <= now { return abandonCall(at: now) }
        switch state {
        case .gathering:
            return open.isEmpty ? continueCall(at: now) : askQuestions(at: now)
        case .running(.browser):
            return phase == .dispatched ? remindOfPages(at: now) : dispatchCall(at: now)
        case .parked:
            return abandonCall(at: now)
        case .done:
            state = .forgotten
            return [.forget]
        case .abandoned(.some, let end):
            state = .abandoned(leftovers: nil, end: end)
            return answerLeftovers()
        case .abandoned(nil, _):
            state = .forgotten
            return [.discardSession, .forget]
        case .running(.response), .forgotten:
            return []
        }
    }

    /// Goes on after a change to what is open: asks for it, or waits for the server.
    private mutating func continueCall(at now: Instant) -> [Action] {
        if !open.isEmpty {
            if case .gathering = state { return [] }
            state = .gathering(quiet: now + times.quiet, end: now + times.window)
            return []
        }
        if browsers.isEmpty {
            if phase != .dispatched { return dispatchCall(at: now) }
            state = .running(.response)
        } else if legs.isEmpty {
            parkCall(at: now)
        } else if case .running(.browser) = state {
            // A leg that joins does not make the others wait longer.
        } else {
            state = .running(.browser(until: now + times.browser))
        }
        return []
    }

    /// No leg is there to go on for: the next retry does.
    private mutating func parkCall(at now: Instant) {
        // A user who is busy in a browser has no time limit here.
        if !browsers.isEmpty { graceEnd = nil }
        state = .parked(until: now + times.park)
    }

    private mutating func askQuestions(at now: Instant) -> [Action] {
        guard !legs.isEmpty else {
            parkCall(at: now)
            return []
        }
        round += 1
        for index in open.indices { open[index].isAsked = true }
        let waiting = legs
        legs = []
        state = .parked(until: now + times.park)
        return [.ask(waiting, open, round: round)] + (round == Self.manyRounds ? [.warn(rounds: round)] : [])
    }

    /// Asks for the same pages again ("another InputRequiredResult", client/elicitation): only so does a client that polls
    /// no streams learn that nothing has come of them yet.
    private mutating func remindOfPages(at now: Instant) -> [Action] {
        let known = browsers.filter(\.isKnown)
        guard !known.isEmpty else {
            // The page was agreed to at another replica, which is lost.
            state = .running(.browser(until: now + times.browser))
            return []
        }
        open += known.map { Question(key: keys.freeKey(for: $0), request: $0, isReminder: true) }
        return askQuestions(at: now)
    }

    /// Has the call sent. It is a leg that brings it.
    private mutating func dispatchCall(at now: Instant) -> [Action] {
        guard !legs.isEmpty else {
            parkCall(at: now)
            return []
        }
        phase = .dispatched
        browsers = []
        state = .running(.response)
        return [.dispatch]
    }

    /// Another replica goes on with the call. The server is told nothing: what it runs may be that one's.
    mutating func leaveToAnother() -> [Action] {
        guard isSpare else { return [] }
        letGo()
        state = .forgotten
        return [.leaveSession, .forget]
    }

    /// Another call needs its place or its session. Nothing happens where a leg waits.
    mutating func yieldSession() -> [Action] {
        switch state {
        case .parked:
            guard phase == .dispatched else { return giveUpCall() }
            letGo()
            state = .forgotten
            return [.cancel, .discardSession, .forget]
        case .abandoned:
            letGo()
            state = .forgotten
            return [.discardSession, .forget]
        case .done:
            state = .forgotten
            return [.forget]
        case .running, .gathering, .forgotten:
            return []
        }
    }

    /// Nothing runs that could be cancelled.
    private mutating func giveUpCall() -> [Action] {
        let leftovers = answerLeftovers()
        letGo()
        state = .forgotten
        return leftovers + [.release, .forget]
    }

    private mutating func abandonCall(at now: Instant) -> [Action] {
        graceEnd = nil
        legs = []
        guard phase == .dispatched else { return giveUpCall() }
        browsers = []
        open.removeAll { $0.isReminder || $0.request.legacyID == nil }
        state = .abandoned(
            leftovers: open.isEmpty ? nil : now + times.leftovers, end: now + times.cancellation)
        return [.cancel]
    }

    /// The open questions will not be answered any more.
    private mutating func answerLeftovers() -> [Action] {
        let leftovers = open.filter { !$0.isReminder }
        open = []
        for question in leftovers { settled.insertQuestion(question.request) }
        return leftovers.compactMap(\.request.leftover).map { .reply($0) }
    }
}
