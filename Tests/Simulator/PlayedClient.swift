import SimulatedKernel

/// A client, which calls now and then until the run has had enough calls.
final class PlayedClient {
    let run: Run
    let caller: Caller
    let number: Int
    /// Whether it is one of 2025-11-25, which has a session of its own with the server.
    let isOlder: Bool
    let isAskable: Bool
    /// Of an older client.
    private var session: String?
    private var isIntroduced = false
    private var link: ClientLink?
    /// Calls that were asked something, with what has to come back.
    private var parked: [Parked] = []
    /// How many are to come back to what broke off.
    private var returning = 0
    private var listens = 0

    private struct Parked {
        let call: Call
        let state: String
        let answers: String
    }
    /// Whether it does something at some time.
    private(set) var isActive = true
    private var lastUse: Int64 = 0
    /// How long it had nothing to say before its last requests.
    private var silence: Int64 = 0
    /// How much longer it is to wait, because it was refused.
    private var waits: Int64 = 0
    /// How long it may wait for any answer.
    private let patience: Int64

    init(_ run: Run, caller: Caller, number: Int) {
        self.run = run
        self.caller = caller
        self.number = number
        isOlder = Dice.happens(run.profile.older)
        isAskable = !isOlder && Dice.happens(run.profile.askable)
        let weather = run.profile.weather
        patience =
            Int64(run.profile.requestTimeout + 12) * second + 30 * weather.late_most + 30 * weather.stall_most
        think()
    }

    /// Whether it gets what the server says as it is.
    var isPassed: Bool { isOlder || run.profile.isModern }

    private var world: World { run.world }
    private var model: Model { run.model }

    private var isThinking = false

    private func think() {
        if isThinking { return }
        isThinking = true
        world.after(waits + Dice.time(upTo: run.profile.thinking)) { [self] in
            isThinking = false
            if link?.isIdle ?? true { act() }
        }
        waits = 0
    }

    private func act() {
        guard !world.isOver else { return }
        if run.isEnding, parked.isEmpty {
            if returning > 0 { return }
            isActive = false
            if let link { leave(link) }
            link = nil
            return run.clientEnded()
        }
        // A server side that closes idle connections may do it in the moment in which a request is sent.
        if let link, link.isOpen, world.now - lastUse > 60 * second {
            link.close()
            self.link = nil
        }
        if let link, link.isOpen {
            ask(on: link)
        } else {
            let link = ClientLink(of: self, to: run.port(of: number))
            self.link = link
            // Others may send before it is connected; this one waits.
            link.whenConnected = { [unowned self, unowned link] in ask(on: link) }
            world.after(20 * second) { [weak link] in if let link, !link.isConnected { link.leaves() } }
        }
    }

    private func leave(_ link: ClientLink) {
        if Dice.happens(300) { link.reset() } else { link.close() }
    }

    /// Sends a request, or a few.
    private func ask(on link: ClientLink) {
        silence = world.now - lastUse
        lastUse = world.now
        let mayPipeline = !isOlder || session != nil && isIntroduced
        let count = mayPipeline && Dice.happens(run.profile.pipelines) ? Dice.number(2...5) : 1
        for _ in 0..<count {
            guard let exchange = nextExchange() else { break }
            link.begin(exchange)
        }
        if !isOlder, !run.isEnding, Dice.happens(run.profile.listensBehind) {
            listens += 1
            let id = "behind-\(number)-\(listens)"
            let uris = [Dice.one(of: Model.uris(of: caller))]
            link.begin(Exchange(.listen(id), Request.listen(id, to: uris), caller))
            world.after(Dice.time(upTo: 100 * second)) { [weak self, weak link] in self?.endListening(on: link) }
            run.atEnd { [weak self, weak link] in self?.endListening(on: link) }
        }
        if link.isIdle { return think() }
        if Dice.happens(run.profile.leaves) {
            let delay = Dice.time(upTo: Dice.one(of: [0, 2 * millisecond, second, 30 * second]))
            let halves = Dice.happens(200)
            world.after(delay) { [weak link] in if halves { link?.sendsNoMore() } else { link?.leaves() } }
            if halves { world.after(delay + Dice.time(upTo: 20 * second)) { [weak link] in link?.leaves() } }
        }
        if Dice.happens(run.profile.slow) {
            link.isReading = false
            world.after(Dice.time(upTo: 20 * second)) { [weak link] in link?.isReading = true }
        }
        if Dice.happens(run.profile.sips) {
            // A third of a window, which is the least that makes room, takes less than an idle client may.
            let bytes = Dice.one(of: [300, 8000, 60_000])
            link.isSlow = true
            link.sip = (bytes, min(20 * second, Int64(bytes) * 500 * microsecond))
        }
        watch(link)
    }

    /// Leaves when nothing is left but what it listens to.
    private func endListening(on link: ClientLink?) {
        guard let link, link.isOpen, link.hasListener else { return }
        if link.isListening { return link.leaves() }
        world.after(5 * second) { [weak self, weak link] in self?.endListening(on: link) }
    }

    /// Looks whether the first of what it waits for comes in time: the others have theirs behind it.
    private func watch(_ link: ClientLink) {
        let answered = link.answered
        world.after(patience) { [weak link, weak self] in
            guard let link, let self, link.isOpen, !link.isIdle, !link.isListening, link.sip == nil else { return }
            if link.answered > answered { return watch(link) }
            model.violate(
                "client \(number) has waited for \(String(seconds: 1_000_000_000_000 + patience)) s: \(link.waiting); \(link.state)"
            )
        }
    }

    private func nextExchange() -> Exchange? {
        // In a calm run there is a session for each call that is waited for: no more than a few are.
        let isFull = run.profile.isCalm && parked.count > 2
        if !parked.isEmpty, isFull || run.isEnding || Dice.happens(700) {
            let next = parked.removeFirst()
            next.call.retries += 1
            next.call.returned = world.now
            return Exchange(
                .call(next.call), Request.call(next.call, retry: (next.state, next.answers)), caller,
                retry: (next.state, next.answers))
        }
        if run.isEnding { return nil }
        if isOlder, let exchange = introduction() { return exchange }
        if !isOlder, Dice.happens(run.profile.bad) { return Exchange(.bad, Request.bad(), caller) }
        if Dice.happens(run.profile.lists) {
            if isOlder { return Exchange(.other("tools/list"), Request.older("tools/list", session), caller) }
            let method = Dice.one(of: ["tools/list", "prompts/list", "server/discover"])
            return Exchange(.other(method), Request.other(method, isAskable: isAskable), caller)
        }
        guard let call = run.nextCall(of: self) else { return nil }
        return Exchange(.call(call), isOlder ? Request.older(call, session) : Request.call(call, retry: nil), caller)
    }

    /// What an older client has to say before anything else.
    private func introduction() -> Exchange? {
        guard session != nil else { return Exchange(.initialize, Request.initialize(), caller) }
        guard !isIntroduced else { return nil }
        isIntroduced = true
        return Exchange(.bad, Request.initialized(session), caller)
    }

    // MARK: What the link tells

    /// An exchange has ended by a response.
    func answered(_ exchange: Exchange, _ response: JSON, _ head: HTTPReader.Head) {
        let status = head.status
        lastUse = world.now
        if isOlder, status == 404 || status == 401 {
            // The server has lost the session: a new one is needed.
            session = nil
            isIntroduced = false
            if run.profile.isCalm, !mayBeGone { model.violate("an older client's session is gone") }
        }
        if status == 503 || status == 404 { waits = Dice.time(upTo: 4 * second) }
        switch exchange.kind {
        case .call(let call): judge(call, exchange, response, status)
        case .initialize:
            if response["result"] != nil {
                session = head["mcp-session-id"]
                if session == nil { model.violate("initialize was answered without a session") }
            } else if run.profile.isCalm {
                model.violate("initialize failed: \(response.source)")
            }
        case .other(let method):
            if let kind = method.hasSuffix("/list") ? String(method.dropLast(5)) : nil,
                let words = response["result"]?[kind]?[0]?["description"]?.text
            {
                let isCalm = run.profile.isCalm && !isPassed
                model.check(list: words, kind, of: caller, asked: exchange.begun, isCalm: isCalm)
            }
            if isPassed, response["result"] != nil || status != 200 {
                model.note("older lists")
            } else if let failure = failure(of: response) {
                if run.profile.isCalm { model.violate("\(method) failed: \(failure.reason)") }
                model.note("lists: \(failure.reason)")
            } else if response["result"]?["resultType"]?.text != "complete" {
                model.violate("\(method) answered by \(response.source)")
            } else {
                model.note("lists: answered")
            }
        case .bad: model.note("bad requests")
        case .listen: model.note("listeners that were ended")
        }
    }

    func isIdle() { think() }

    /// The connection has ended, or was ended, with exchanges under way.
    func lost(_ exchanges: [Exchange], isOwn: Bool) {
        // What an older client is told breaks off where its server does.
        if !isOwn, !mayBreakOff, !exchanges.isEmpty {
            model.violate("client \(number) lost its connection with \(exchanges.count) requests under way")
        }
        for exchange in exchanges {
            if case .call(let call) = exchange.kind { broke(call, exchange, isOwn ? "left" : "cut") }
        }
        link = nil
        think()
    }

    /// A request has broken off. Its client gives up, or comes back with the same answers.
    private func broke(_ call: Call, _ exchange: Exchange, _ why: String) {
        guard let retry = exchange.retry, Dice.happens(run.profile.returns) else {
            model.left(call, why)
            return expectEnd(of: call)
        }
        model.note("retries sent again")
        returning += 1
        world.after(Dice.time(upTo: Dice.one(of: [50 * millisecond, 4 * second, 40 * second]))) { [self] in
            returning -= 1
            parked.append(Parked(call: call, state: retry.state, answers: retry.answers))
            think()
        }
    }

    /// Where nothing is lost on its way, a server hears that no client waits. It does so at once, but for a call that waits for its
    /// client: of one who has left with its answers unread nothing is known.
    private func expectEnd(of call: Call) {
        guard run.profile.mood == .breezy, !isOlder else { return }
        // After the time that one who broke off has to come back.
        world.after(8 * second) { [self] in
            if !call.isParked || call.heard > call.returned { model.expectEnd(of: call, within: 0) }
        }
        model.expectEnd(of: call, within: Int64(run.profile.parkTimeout + 20) * second)
    }

    /// Whether the session of an older client may have ended because it had nothing to say (`sessions.idle_timeout`). It has to open
    /// another one then.
    private var mayBeGone: Bool { silence > Int64(run.profile.idleTimeout) * second }

    /// Whether a response may end in its middle.
    var mayBreakOff: Bool { run.mayCut || isPassed && !run.profile.isCalm }

    private func failure(of response: JSON) -> (reason: String, dispatched: Bool?)? {
        guard let error = response["error"] else { return nil }
        let data = error["data"]
        return (data?["reason"]?.text ?? "code \(error["code"]?.number ?? 0)", data?["dispatched"]?.flag)
    }

    private func judge(_ call: Call, _ exchange: Exchange, _ response: JSON, _ status: Int) {
        if isPassed, status != 200, response["error"]?["data"]?["reason"] == nil {
            // The server's own.
            if run.profile.isCalm, !(status == 404 && mayBeGone) {
                model.violate("call \(call.number) got status \(status)")
            }
            return model.failed(call, reason: "status \(status)", dispatched: nil, isRetry: false)
        }
        if let failure = failure(of: response) {
            if response["error"]?["message"]?.text == call.complaint {
                guard response["error"]?["data"]?.text == call.complaint else {
                    return model.violate("call \(call.number) was answered by \(response.source.prefix(500))")
                }
                return model.answered(call)
            }
            if run.profile.isCalm { model.violate("call \(call.number) failed: \(failure.reason), \(response.source)") }
            if run.profile.mood == .breezy, failure.reason == "busy" {
                model.checkWait(of: call, since: exchange.begun, parkTime: Int64(run.profile.parkTimeout) * second)
            }
            return model.failed(
                call, reason: failure.reason, dispatched: failure.dispatched, isRetry: exchange.isRetry,
                message: response["error"]?["message"]?.text ?? "")
        }
        guard let result = response["result"] else {
            return model.violate("call \(call.number) was answered by \(response.source)")
        }
        if result["resultType"]?.text == "input_required" {
            guard call.isAskable else { return model.violate("call \(call.number) was asked, and cannot be") }
            var answers: [String] = []
            for (key, request) in result["inputRequests"]?.members ?? [] {
                let message = request["params"]?["message"]?.text
                if message?.hasPrefix("\(call.mark) q") != true, message?.hasPrefix("early ") != true {
                    model.violate("call \(call.number) was asked what another was: \(request.source)")
                }
                let isPage = request["params"]?["mode"]?.text == "url"
                let isDeclined = Dice.happens(run.profile.declines)
                answers.append(
                    isDeclined
                        ? #""\#(key)":{"action":"\#(Dice.one(of: ["decline", "cancel"]))"}"#
                        : isPage
                            ? #""\#(key)":{"action":"accept"}"#
                            : #""\#(key)":{"action":"accept","content":{"value":"\#(message ?? "")"}}"#)
            }
            guard let state = result["requestState"]?.text, !answers.isEmpty else {
                return model.violate("call \(call.number) was asked nothing: \(response.source)")
            }
            // Not all at once.
            if answers.count > 1, Dice.happens(run.profile.partly) {
                answers.remove(at: Dice.number(0...answers.count - 1))
            }
            model.note("rounds")
            model.trace("call % is asked", call.number)
            call.isParked = true
            if call.runs == 0 {
                call.wasAskedEarly = true
                model.noteEarlyQuestion()
            }
            if Dice.happens(run.profile.abandons) {
                model.left(call, "not come back")
                return expectEnd(of: call)
            }
            return parked.append(Parked(call: call, state: state, answers: answers.joined(separator: ",")))
        }
        let text =
            switch call.tool {
            case .prompt: result["messages"]?[0]?["content"]?["text"]?.text
            case .resource: result["contents"]?[0]?["text"]?.text
            default: result["content"]?[0]?["text"]?.text
            }
        let credential = caller.credential
        if text == Call.text(call.mark, for: credential, in: credential, padding: call.padding) {
            if call.runs == 0 { model.violate("call \(call.number) was answered, and never ran") }
            return model.answered(call)
        }
        // A call that waits for its client makes room, also where others are waited for no more.
        if result["isError"]?.flag == true, !run.profile.isCalm || run.profile.abandons > 0 && exchange.isRetry {
            return model.failed(call, reason: "isError", dispatched: nil, isRetry: exchange.isRetry)
        }
        model.violate("call \(call.number) was answered by \(String(response.source.prefix(500)))")
    }
}
