import SimulatedKernel

/// A client of 2026-07-28, which calls now and then until the run has had enough calls.
final class PlayedClient {
    let run: Run
    let caller: Caller
    let number: Int
    let isAskable: Bool
    private var link: ClientLink?
    /// Calls that were asked something, with what has to come back.
    private var parked: [(call: Call, state: String, answers: String)] = []
    /// Whether it does something at some time.
    private(set) var isActive = true
    private var lastUse: Int64 = 0
    /// How much longer it is to wait, because it was refused.
    private var waits: Int64 = 0
    /// How long it may wait for any answer.
    private let patience: Int64

    init(_ run: Run, caller: Caller, number: Int) {
        self.run = run
        self.caller = caller
        self.number = number
        isAskable = Dice.happens(run.profile.askable)
        let weather = run.profile.weather
        patience =
            Int64(run.profile.requestTimeout + 30) * second + 30 * weather.late_most + 30 * weather.stall_most
        think()
    }

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
            let link = ClientLink(of: self, to: run.port(for: self))
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
        lastUse = world.now
        let count = Dice.happens(run.profile.pipelines) ? Dice.number(2...5) : 1
        for _ in 0..<count {
            guard let exchange = nextExchange() else { break }
            link.begin(exchange)
        }
        if link.isIdle { return think() }
        if Dice.happens(run.profile.leaves) {
            let delay = Dice.time(upTo: Dice.one(of: [2 * millisecond, second, 30 * second]))
            world.after(delay) { [weak link] in link?.leaves() }
        }
        if Dice.happens(run.profile.slow) {
            link.isReading = false
            world.after(Dice.time(upTo: 20 * second)) { [weak link] in link?.isReading = true }
        }
        watch(link)
    }

    /// Looks whether the first of what it waits for comes in time: the others have theirs behind it.
    private func watch(_ link: ClientLink) {
        let answered = link.answered
        world.after(patience) { [weak link, weak self] in
            guard let link, let self, link.isOpen, !link.isIdle else { return }
            if link.answered > answered { return watch(link) }
            model.violate("client \(number) has waited for \(String(seconds: 1_000_000_000_000 + patience)) s: \(link.waiting); \(link.state)")
        }
    }

    private func nextExchange() -> Exchange? {
        if !parked.isEmpty, run.isEnding || Dice.happens(700) {
            let (call, state, answers) = parked.removeFirst()
            call.retries += 1
            return Exchange(.call(call), Request.call(call, retry: (state, answers)), caller, isRetry: true)
        }
        if run.isEnding { return nil }
        if Dice.happens(run.profile.bad) { return Exchange(.bad, Request.bad(), caller) }
        if Dice.happens(run.profile.lists) {
            let method = Dice.one(of: ["tools/list", "prompts/list", "server/discover"])
            return Exchange(.other(method), Request.other(method, isAskable: isAskable), caller)
        }
        guard let call = run.nextCall(of: self) else { return nil }
        return Exchange(.call(call), Request.call(call, retry: nil), caller)
    }

    // MARK: What the link tells

    /// An exchange has ended by a response.
    func answered(_ exchange: Exchange, _ response: JSON, status: Int) {
        lastUse = world.now
        if status == 503 { waits = Dice.time(upTo: 4 * second) }
        switch exchange.kind {
        case .call(let call): judge(call, exchange, response, status)
        case .other(let method):
            if let failure = failure(of: response) {
                if run.profile.isCalm { model.violate("\(method) failed: \(failure.reason)") }
                model.note("lists: \(failure.reason)")
            } else if response["result"]?["resultType"]?.text != "complete" {
                model.violate("\(method) answered by \(response.source)")
            } else {
                model.note("lists: answered")
            }
        case .bad: model.note("bad requests")
        }
    }

    func isIdle() { think() }

    /// The connection has ended, or was ended, with exchanges under way.
    func lost(_ exchanges: [Exchange], isOwn: Bool) {
        if !isOwn, run.mayCut == false, !exchanges.isEmpty {
            model.violate("client \(number) lost its connection with \(exchanges.count) requests under way")
        }
        for exchange in exchanges {
            if case .call(let call) = exchange.kind { model.left(call, isOwn ? "left" : "cut") }
        }
        link = nil
        think()
    }

    private func failure(of response: JSON) -> (reason: String, dispatched: Bool?)? {
        guard let error = response["error"] else { return nil }
        let data = error["data"]
        return (data?["reason"]?.text ?? "code \(error["code"]?.number ?? 0)", data?["dispatched"]?.flag)
    }

    private func judge(_ call: Call, _ exchange: Exchange, _ response: JSON, _ status: Int) {
        if let failure = failure(of: response) {
            if response["error"]?["message"]?.text == call.mark { return model.answered(call) }
            if run.profile.isCalm { model.violate("call \(call.number) failed: \(failure.reason), \(response.source)") }
            return model.failed(call, reason: failure.reason, dispatched: failure.dispatched, isRetry: exchange.isRetry)
        }
        guard let result = response["result"] else {
            return model.violate("call \(call.number) was answered by \(response.source)")
        }
        if result["resultType"]?.text == "input_required" {
            guard call.isAskable else { return model.violate("call \(call.number) was asked, and cannot be") }
            var answers: [String] = []
            for (key, request) in result["inputRequests"]?.members ?? [] {
                if request["params"]?["message"]?.text != call.mark {
                    model.violate("call \(call.number) was asked what another was: \(request.source)")
                }
                answers.append(#""\#(key)":{"action":"accept","content":{"value":"\#(call.mark)"}}"#)
            }
            guard let state = result["requestState"]?.text, !answers.isEmpty else {
                return model.violate("call \(call.number) was asked nothing: \(response.source)")
            }
            model.note("rounds")
            model.trace("call % is asked", call.number)
            if Dice.happens(run.profile.leaves) { return model.left(call, "not come back") }
            return parked.append((call, state, answers.joined(separator: ",")))
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
        if result["isError"]?.flag == true, !run.profile.isCalm { return model.failed(call, reason: "isError", dispatched: nil, isRetry: exchange.isRetry) }
        model.violate("call \(call.number) was answered by \(String(response.source.prefix(500)))")
    }
}

/// A request of a client, and its answer.
final class Exchange {
    enum Kind {
        case call(Call)
        case other(String)
        case bad
    }

    let kind: Kind
    let request: Request
    let caller: Caller
    let isRetry: Bool

    init(_ kind: Kind, _ request: Request, _ caller: Caller, isRetry: Bool = false) {
        self.isRetry = isRetry
        self.kind = kind
        self.request = request
        self.caller = caller
    }
}

/// What a client sends.
struct Request {
    let head: String
    let body: String
    /// Of its JSON-RPC request, as it is spelled; nil where there is none.
    let id: String?

    private static let prefix = "io.modelcontextprotocol/"

    private static func meta(isAskable: Bool, _ more: String = "") -> String {
        #""_meta":{"\#(prefix)protocolVersion":"2026-07-28","\#(prefix)clientInfo":{"name":"played","version":"1"},"\#(prefix)clientCapabilities":{\#(isAskable ? #""elicitation":{}"# : "")}\#(more)}"#
    }

    private static func lines(_ method: String, name: String?) -> String {
        "POST /mcp HTTP/1.1\r\nHost: 127.0.0.1:8808\r\nContent-Type: application/json\r\nAccept: application/json, text/event-stream\r\nMCP-Protocol-Version: 2026-07-28\r\nMcp-Method: \(method)\r\n"
            + (name.map { "Mcp-Name: \($0)\r\n" } ?? "")
    }

    static func call(_ call: Call, retry: (state: String, answers: String)?) -> Request {
        let id = "\"\(call.mark)-\(retry == nil ? 0 : 1)\""
        let (name, own) =
            switch call.tool {
            case .prompt: ("prompt", #""name":"prompt","arguments":{"mark":"\#(call.mark)"}"#)
            case .resource: ("test:\(call.mark)", #""uri":"test:\#(call.mark)""#)
            default: (call.tool.rawValue, #""name":"\#(call.tool.rawValue)","arguments":{"mark":"\#(call.mark)"}"#)
            }
        let retried = retry.map { #","requestState":"\#($0.state)","inputResponses":{\#($0.answers)}"# } ?? ""
        let more = call.number % 3 == 0 ? #","progressToken":"\#(call.mark)""# : ""
        let body =
            #"{"jsonrpc":"2.0","id":\#(id),"method":"\#(call.tool.method)","params":{\#(own)\#(retried),\#(meta(isAskable: call.isAskable, more))}}"#
        return Request(head: lines(call.tool.method, name: name), body: body, id: id)
    }

    static func other(_ method: String, isAskable: Bool) -> Request {
        let body = #"{"jsonrpc":"2.0","id":7,"method":"\#(method)","params":{\#(meta(isAskable: isAskable))}}"#
        return Request(head: lines(method, name: nil), body: body, id: "7")
    }

    /// What is wrong, and is answered all the same.
    static func bad() -> Request {
        let wrong = Dice.one(of: ["{", "[]", "{\"jsonrpc\":\"2.0\",\"method\":\"x\"}", "\u{1}", ""])
        let path = Dice.happens(500) ? "/mcp" : "/nowhere"
        return Request(
            head: "POST \(path) HTTP/1.1\r\nHost: 127.0.0.1:8808\r\nContent-Type: application/json\r\nMCP-Protocol-Version: 2026-07-28\r\n",
            body: wrong, id: nil)
    }

    func bytes(of caller: Caller) -> [UInt8] {
        let credential = caller.credential.map { "Authorization: \($0)\r\n" } ?? ""
        return Array("\(head)\(credential)Content-Length: \(body.utf8.count)\r\n\r\n\(body)".utf8)
    }
}

/// A connection of a client.
final class ClientLink: Wire {
    private let client: PlayedClient
    var whenConnected: (() -> Void)?
    private var reader = HTTPReader(ofRequests: false)
    private var exchanges: [Exchange] = []
    private(set) var sent = 0
    private(set) var answered = 0
    private var head: HTTPReader.Head?
    private var body: [UInt8] = []
    private var events = EventReader()
    private var response: JSON?

    init(of client: PlayedClient, to port: UInt16) {
        self.client = client
        super.init(sim_connect(Run.hostOfClients, port), in: client.run.world, isConnected: false)
    }

    /// Whether it is connected, and waits for nothing.
    var isIdle: Bool { exchanges.isEmpty && whenConnected == nil }

    /// What it waits for.
    var waiting: String {
        exchanges.first.map { exchange in
            if case .call(let call) = exchange.kind { "call \(call.number)" } else { "\(exchange.kind)" }
        } ?? "nothing"
    }

    func begin(_ exchange: Exchange) {
        exchanges.append(exchange)
        sent += 1
        switch exchange.kind {
        case .call(let call): client.run.model.trace("client % sends call %", client.number, call.number)
        default: client.run.model.trace("client % sends something else", client.number)
        }
        send(exchange.request.bytes(of: exchange.caller))
    }

    /// Goes away in the middle.
    func leaves() {
        guard isOpen else { return }
        client.run.model.trace("client % leaves", client.number)
        if Dice.happens(300) { reset() } else { close() }
        lose(isOwn: true)
    }

    private func lose(isOwn: Bool) {
        let left = exchanges
        exchanges = []
        close()
        client.lost(left, isOwn: isOwn)
    }

    override func connected() {
        whenConnected?()
        whenConnected = nil
    }

    override func finished() {
        if !reader.finish(), client.run.mayCut == false { client.run.model.violate("a response that ends in its middle: \(state)") }
        proceed()
        if isOpen { lose(isOwn: false) }
    }

    override func ended() { lose(isOwn: false) }

    override func received(_ bytes: [UInt8]) {
        client.run.model.check(received: bytes, by: client.caller)
        reader.append(bytes)
        proceed()
    }

    private func proceed() {
        do throws(HTTPReader.Malformed) {
            while isOpen, let part = try reader.next() {
                switch part {
                case .head(let head):
                    guard !exchanges.isEmpty else { return client.run.model.violate("a response to no request: \(head.start)") }
                    self.head = head
                    body = []
                    events = EventReader()
                    response = nil
                case .body(let bytes): take(bytes)
                case .end: end()
                }
            }
        } catch {
            client.run.model.violate("the client received what is not HTTP: \(error.what)")
        }
    }

    private var isStream: Bool { head?["content-type"]?.hasPrefix("text/event-stream") ?? false }

    private func take(_ bytes: [UInt8]) {
        guard isStream else { return body += bytes }
        events.append(bytes) { data in
            guard let message = JSON(data) else {
                return client.run.model.violate("an event that is not JSON: \(String(decoding: data.prefix(200), as: UTF8.self))")
            }
            if message["method"] != nil {
                if response != nil { client.run.model.violate("a notification behind the response") }
                return client.run.model.note("notifications")
            }
            if response != nil { client.run.model.violate("two responses to one request") }
            response = message
        }
    }

    private func end() {
        guard let head else { return }
        let exchange = exchanges.removeFirst()
        answered += 1
        if !isStream, !body.isEmpty { response = JSON(body) }
        let closes = head["connection"]?.lowercased() == "close"
        if let response {
            let id = response["id"]?.source ?? "null"
            if let own = exchange.request.id, id != own {
                client.run.model.violate("an answer with id \(id) to a request with \(own): \(String(response.source.prefix(300)))")
            }
            client.answered(exchange, response, status: head.status)
        } else if exchange.request.id == nil {
            client.answered(exchange, .null, status: head.status)
        } else {
            client.run.model.violate("status \(head.status) without a response to \(waiting)")
        }
        if closes, isOpen { return lose(isOwn: true) }
        if exchanges.isEmpty, isOpen { client.isIdle() }
    }
}
