import SimulatedKernel

/// A legacy server over Streamable HTTP (2025-11-25), with sessions.
final class PlayedServer {
    let world: World
    let model: Model
    let profile: Profile
    let host: Int
    let port: UInt16
    /// Counts its starts: what ran before belongs to another process.
    private(set) var life = 0
    private(set) var sessions: [String: ServerSession] = [:]
    private var connections: [ObjectIdentifier: ServerConnection] = [:]
    private var named = 0

    init(_ world: World, _ model: Model, _ profile: Profile, host: Int, port: UInt16) {
        (self.world, self.model, self.profile, self.host, self.port) = (world, model, profile, host, port)
        start()
    }

    private func start() {
        life += 1
        world.listen(host, port) { [unowned self] end in
            let connection = ServerConnection(end, of: self)
            connections[ObjectIdentifier(connection)] = connection
        }
    }

    /// Ends it in the middle of everything, and starts it anew, without the sessions.
    func restart(after pause: Int64) {
        model.note("server restarts")
        stop()
        world.after(pause) { [unowned self] in start() }
    }

    /// Tells of a change of something that somebody is subscribed to.
    func change() {
        let told = sessions.values.filter { !$0.subscribed.isEmpty && $0.stream?.isOpen == true }.sorted {
            $0.number < $1.number
        }
        guard !told.isEmpty else { return }
        let session = Dice.one(of: told)
        let uri = Dice.one(of: session.subscribed)
        session.stream?.event(
            #"{"jsonrpc":"2.0","method":"notifications/resources/updated","params":{"uri":"\#(uri)"}}"#)
        model.changed(uri)
    }

    private func stop() {
        life += 1
        world.unlisten(port)
        for connection in connections.values.sorted(by: { $0.number < $1.number }) {
            if Dice.happens(500) { connection.reset() } else { connection.close() }
            connection.isGone = true
        }
        connections = [:]
        sessions = [:]
    }

    func forget(_ connection: ServerConnection) { connections[ObjectIdentifier(connection)] = nil }

    func open(for credential: String?, isAskable: Bool) -> ServerSession {
        named += 1
        let session = ServerSession(named, "s\(life)-\(named)", owner: credential, isAskable: isAskable)
        sessions[session.id] = session
        return session
    }

    func end(_ session: ServerSession) {
        sessions[session.id] = nil
        session.stream?.endStream()
        session.stream = nil
    }
}

/// A session of a server.
final class ServerSession {
    let id: String
    let owner: String?
    /// Whether it was declared that its client can be asked.
    let isAskable: Bool
    /// Whether its client speaks to it through Remora as it is.
    var isOfOlderClient = false
    /// The GET stream.
    var stream: ServerConnection?
    /// Runs whose streams can be taken up, by the ids of their last events.
    var resumable: [String: ServerRun] = [:]
    /// Resources whose changes are to be told.
    var subscribed: [String] = []
    /// What waits for the answer to a question, by its id.
    var questions: [Int: (JSON) -> Void] = [:]
    var nextQuestion = 1
    /// The ids of requests that were cancelled.
    var cancelled: Set<Int> = []
    /// Calls that may be asked, run now, and are wanted.
    var asking = 0
    /// By the ids of their requests.
    var runs: [Int: ServerRun] = [:]

    let number: Int

    init(_ number: Int, _ id: String, owner: String?, isAskable: Bool) {
        self.number = number
        (self.id, self.owner, self.isAskable) = (id, owner, isAskable)
    }
}

/// One connection of a server: a request, its answer, the next request.
final class ServerConnection: Wire {
    let server: PlayedServer
    let number: Int
    var isGone = false
    private var reader = HTTPReader(ofRequests: true)
    private var head: HTTPReader.Head?
    private var body: [UInt8] = []
    private var isAnswering = false
    private var isStreaming = false
    /// Whether the request was answered before it was read.
    private var isEarly = false
    private var hasLookedEarly = false
    /// The call that it answers.
    private var running: ServerRun?
    nonisolated(unsafe) private static var made = 0

    init(_ end: Int32, of server: PlayedServer) {
        self.server = server
        ServerConnection.made += 1
        number = ServerConnection.made
        super.init(end, in: server.world, isConnected: true)
    }

    override func received(_ bytes: [UInt8]) {
        reader.append(bytes)
        proceed()
    }

    override func finished() { gone() }
    override func ended() { gone() }

    private func gone() {
        if isAnswering { server.model.trace("connection % of the server is gone while it answers", number) }
        running?.release()
        isGone = true
        close()
        server.forget(self)
    }

    private func proceed() {
        do throws(HTTPReader.Malformed) {
            while isOpen, !isAnswering, let part = try reader.next() {
                switch part {
                case .head(let head):
                    self.head = head
                    body = []
                    hasLookedEarly = false
                case .body(let bytes):
                    body += bytes
                    if !isEarly, body.count > 2000, let length = head?["content-length"].flatMap({ Int($0) }),
                        length > 20_000
                    {
                        answerEarly()
                    }
                case .end:
                    if isEarly { isEarly = false } else { serve() }
                }
            }
        } catch {
            server.model.violate("the server received what is not HTTP: \(error.what)")
        }
    }

    /// The answer is complete.
    private func done(closes: Bool = false) {
        guard isOpen else { return }
        if closes {
            isGone = true
            closeWhenFlushed()
            return server.forget(self)
        }
        isAnswering = false
        isStreaming = false
        // Not within the handling of what was received before.
        proceed()
    }

    private func after(_ delay: Int64, _ body: @escaping () -> Void) {
        let life = server.life
        world.after(delay) { [self] in if server.life == life, !isGone || runsOn { body() } }
    }

    /// Handlers go on when the client has gone.
    private var runsOn: Bool { true }

    // MARK: Requests

    /// Answers a long call before it has come whole, and reads on later, or never.
    private func answerEarly() {
        if hasLookedEarly { return }
        hasLookedEarly = true
        guard Dice.happens(server.profile.early),
            let session = head?["mcp-session-id"].flatMap({ server.sessions[$0] }),
            body.contains("tools/call"), let place = body.find("\"id\":"),
            let id = Int(String(decoding: body[(place + 5)...].prefix { 48...57 ~= $0 }, as: UTF8.self))
        else { return }
        var found: Call?
        server.model.marks(in: body) { found = $0 }
        guard let call = found else { return }
        server.model.note("ways: early")
        isEarly = true
        isReading = false
        let run = ServerRun(call, id, session, .json, token: nil, credential: credential)
        session.runs[id] = run
        begin(run)
        end(run)
        let text = run.response()
        send(
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: \(text.utf8.count)\r\n\r\n\(text)")
        // Whoever answers so reads on in the end. Nobody can tell of one that does not, whose kernel takes what is sent.
        let isPatient = server.profile.isCalm || Dice.happens(700)
        if isPatient {
            let most = server.profile.isCalm ? 2 * second : 30 * second
            world.after(Dice.time(upTo: most)) { [weak self] in self?.isReading = true }
        }
    }

    private var credential: String? { head?["authorization"] }

    private func serve() {
        guard let head else { return }
        isAnswering = true
        server.model.check(served: body, with: credential)
        let session = head["mcp-session-id"].flatMap { server.sessions[$0] }
        if let session, session.owner != credential {
            server.model.violate("a request of \(credential ?? "nobody") in a session of \(session.owner ?? "nobody")")
        }
        switch head.method {
        case "GET": serveGet(session)
        case "DELETE":
            if let session { server.end(session) }
            plain(session == nil ? "404 Not Found" : "200 OK")
        case "POST":
            guard let message = JSON(body) else { return server.model.violate("the server received what is not JSON") }
            serve(message, session)
        default: plain("405 Method Not Allowed")
        }
    }

    private func serveGet(_ session: ServerSession?) {
        guard let session else { return plain("404 Not Found") }
        if let last = head?["last-event-id"], let run = session.resumable[last] {
            // It is taken up where it was.
            if !server.profile.isCalm, Dice.happens(100) { return plain("405 Method Not Allowed") }
            run.stream = self
            beginStream()
            chunk(": taken up\n\n")
            if let response = run.due { deliver(run, response) }
            return
        }
        guard server.profile.pushes else { return plain("405 Method Not Allowed") }
        session.stream?.endStream()
        session.stream = self
        beginStream()
    }

    private func serve(_ message: JSON, _ session: ServerSession?) {
        guard let method = message["method"]?.text else {
            // An answer to a question.
            server.model.trace(
                "the server got an answer to question % in session %", message["id"]?.number ?? 0, session?.number ?? 0)
            if let session, let id = message["id"]?.number, let body = session.questions.removeValue(forKey: id) {
                body(message)
            }
            return plain(session == nil ? "404 Not Found" : "202 Accepted")
        }
        server.model.trace("the server got a request in session % on connection %", session?.number ?? 0, number)
        if method == "initialize" { return initialize(message) }
        guard let session else { return plain("404 Not Found") }
        guard let id = message["id"]?.number else {
            if method == "notifications/initialized" { askEarly(session) }
            if method == "notifications/cancelled", let id = message["params"]?["requestId"]?.number {
                session.cancelled.insert(id)
                server.model.trace("request % is cancelled in session %", id, session.number)
                session.runs[id]?.release()
            }
            return plain("202 Accepted")
        }
        switch method {
        case "tools/list": document(id, ServerConnection.tools)
        case "prompts/list": document(id, #"{"prompts":[{"name":"prompt"}]}"#)
        case "resources/list": document(id, #"{"resources":[{"uri":"test:resource","name":"r"}]}"#)
        case "tools/call", "prompts/get", "resources/read": call(message, id, session)
        case "resources/subscribe":
            if let uri = message["params"]?["uri"]?.text, !session.subscribed.contains(uri) {
                session.subscribed.append(uri)
            }
            document(id, "{}")
        case "resources/unsubscribe":
            session.subscribed.removeAll { $0 == message["params"]?["uri"]?.text }
            document(id, "{}")
        default: document(id, "{}")
        }
    }

    /// Asks on the GET stream before there is a call, and may take a question back.
    private func askEarly(_ session: ServerSession) {
        guard session.isAskable, let stream = session.stream, Dice.happens(server.profile.earlyQuestions) else {
            return
        }
        for _ in 0..<Dice.number(1...2) {
            let question = session.nextQuestion
            session.nextQuestion += 1
            session.questions[question] = { _ in }
            stream.event(
                #"{"jsonrpc":"2.0","id":\#(question),"method":"elicitation/create","params":{"message":"early","requestedSchema":{"type":"object","properties":{}}}}"#
            )
            guard Dice.happens(500) else { continue }
            after(Dice.time(upTo: Dice.one(of: [30 * millisecond, 2 * second]))) { [weak stream] in
                // It may cross with the answer.
                let isOpen = session.questions.removeValue(forKey: question) != nil
                if isOpen || Dice.happens(500), let stream, stream.isOpen {
                    stream.event(
                        #"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":\#(question)}}"#)
                }
            }
        }
    }

    private static let tools: String = {
        let all = [Tool.work, .look, .again].map { tool in
            let hints =
                switch tool {
                case .look: #","annotations":{"readOnlyHint":true}"#
                case .again: #","annotations":{"idempotentHint":true}"#
                default: ""
                }
            return #"{"name":"\#(tool.rawValue)","inputSchema":{"type":"object"}\#(hints)}"#
        }
        return #"{"tools":[\#(all.joined(separator: ","))]}"#
    }()

    private func initialize(_ message: JSON) {
        guard let id = message["id"]?.number else { return server.model.violate("initialize without id") }
        let isAskable = message["params"]?["capabilities"]?["elicitation"] != nil
        let session = server.open(for: credential, isAskable: isAskable)
        session.isOfOlderClient = message["params"]?["clientInfo"]?["name"]?.text == "older"
        let result =
            #"{"protocolVersion":"2025-11-25","capabilities":{"tools":{"listChanged":true},"prompts":{},"resources":{"subscribe":true},"logging":{}},"serverInfo":{"name":"played","version":"1"}}"#
        after(Dice.time(upTo: server.profile.serverThinking)) { [self] in
            document(id, result, fields: "Mcp-Session-Id: \(session.id)\r\n")
        }
    }

    // MARK: Answers

    private func plain(_ status: String, _ fields: String = "") {
        send("HTTP/1.1 \(status)\r\n\(fields)Content-Length: 0\r\n\r\n")
        done()
    }

    private func document(_ id: Int, _ result: String, fields: String = "", closes: Bool = false) {
        text(#"{"jsonrpc":"2.0","id":\#(id),"result":\#(result)}"#, fields: fields, closes: closes)
    }

    private func text(_ text: String, status: String = "200 OK", fields: String = "", closes: Bool = false) {
        let close = closes ? "Connection: close\r\n" : ""
        send(
            "HTTP/1.1 \(status)\r\nContent-Type: application/json\r\n\(close)\(fields)Content-Length: \(text.utf8.count)\r\n\r\n\(text)"
        )
        done(closes: closes)
    }

    private func beginStream() {
        guard !isStreaming else { return }
        isStreaming = true
        send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
    }

    func event(_ data: String) {
        beginStream()
        chunk("data: \(data)\n\n")
    }

    private func chunk(_ text: String) { send("\(String(text.utf8.count, radix: 16))\r\n\(text)\r\n") }

    func endStream() {
        guard isStreaming else { return }
        send("0\r\n\r\n")
        done()
    }

    // MARK: Calls

    private func call(_ message: JSON, _ id: Int, _ session: ServerSession) {
        var found: Call?
        server.model.marks(in: body) { found = $0 }
        guard let call = found else { return server.model.violate("a call without a mark") }
        if call.isAskable != session.isAskable {
            server.model.violate("call \(call.number) in a session whose client was declared otherwise")
        }
        var way = Dice.one(by: server.profile.ways)
        // These take no stream up again.
        if session.isOfOlderClient, way == .resumes || way == .resumesAsking { way = .events }
        server.model.note("ways: \(way)")
        server.model.trace("call % is % on connection % of the server", call.number, id, number)
        server.model.trace(way.name, session.number)
        let run = ServerRun(
            call, id, session, way, token: message["params"]?["_meta"]?["progressToken"],
            credential: credential)
        let delay = Dice.time(upTo: server.profile.serverThinking)
        switch way {
        case .rateLimited:
            return after(delay) { [self] in plain("429 Too Many Requests", "Retry-After: 1\r\n") }
        case .unauthorized:
            return after(delay) { [self] in plain("401 Unauthorized", "WWW-Authenticate: Bearer\r\n") }
        case .lost:
            server.end(session)
            return plain("404 Not Found")
        default: break
        }
        session.runs[id] = run
        begin(run)
        after(delay) { [self] in answer(run) }
    }

    private func begin(_ run: ServerRun) {
        server.model.ran(run.call)
        running = run
        guard run.call.isAskable else { return }
        run.session.asking += 1
        run.isHolding = true
        if run.session.asking > 1 { server.model.violate("two calls that may be asked, in one session") }
    }

    /// Its handler has ended.
    private func end(_ run: ServerRun, responds: Bool = true) {
        run.release()
        running = nil
        if responds { run.call.responses += 1 }
    }

    private func answer(_ run: ServerRun) {
        // A server stops what was cancelled, and says nothing.
        if run.isCancelled {
            end(run, responds: false)
            return done(closes: true)
        }
        let response = run.response()
        switch run.way {
        case .json, .toolError, .error:
            end(run)
            text(response)
        case .chunked:
            end(run)
            send("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n")
            var rest = Substring(response)
            while !rest.isEmpty {
                let part = rest.prefix(Dice.number(1...max(1, response.utf8.count / 2)))
                chunk(String(part))
                rest = rest.dropFirst(part.count)
            }
            send("0\r\n\r\n")
            done()
        case .events: finish(run, response)
        case .logs:
            for _ in 0..<Dice.number(1...5) {
                event(
                    #"{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":"\#(run.call.mark)"}}"#
                )
            }
            finish(run, response)
        case .progress: progress(run, Dice.number(1...4), of: 0, response)
        case .pinging:
            event(#"{"jsonrpc":"2.0","id":"ping-\#(run.call.number)","method":"ping"}"#)
            after(Dice.time(upTo: server.profile.serverThinking)) { [self] in finish(run, response) }
        case .late:
            end(run)
            event(response)
            chunk(": behind\n\n")
            after(Dice.time(upTo: 100 * millisecond)) { [self] in
                if !isGone {
                    chunk(": more behind\n\n")
                    endStream()
                }
            }
        case .closing:
            end(run)
            text(response, closes: true)
        case .untilClose:
            end(run)
            send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\ndata: \(response)\n\n")
            done(closes: true)
        case .asks, .asksAside:
            if run.session.isAskable { ask(run, rounds: Dice.number(1...3)) } else { finish(run, response) }
        case .withdraws, .page:
            if run.session.isAskable { ask(run, rounds: 1) } else { finish(run, response) }
        case .resumes, .resumesAsking: breakOff(run, response)
        case .slow:
            after(Int64(Dice.number(0...server.profile.requestTimeout * 3 / 2)) * second) { [self] in
                if run.isCancelled {
                    end(run, responds: false)
                    return done(closes: true)
                }
                finish(run, response)
            }
        case .cut:
            end(run, responds: false)
            let whole =
                "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: \(response.utf8.count)\r\n\r\n\(response)"
            send(Array(whole.utf8.prefix(Dice.number(0...whole.utf8.count - 1))))
            done(closes: true)
        case .reset:
            end(run, responds: false)
            isGone = true
            reset()
            server.forget(self)
        case .internalError:
            end(run, responds: false)
            plain("500 Internal Server Error")
        case .garbage:
            end(run, responds: false)
            send("HTTP/1.1 200 WHAT\r\n: no\r\n\r\n\(run.call.mark)")
            done(closes: true)
        case .never: end(run, responds: false)
        case .rateLimited, .unauthorized, .lost: break
        }
    }

    private func finish(_ run: ServerRun, _ response: String) {
        end(run)
        event(response)
        endStream()
    }

    /// Ends the stream without a response, which comes on the stream that takes it up.
    private func breakOff(_ run: ServerRun, _ response: String) {
        let id = "event-\(run.call.number)-\(run.call.runs)"
        run.session.resumable[id] = run
        run.isResumable = true
        beginStream()
        if run.way == .resumesAsking, run.session.isAskable {
            run.lastEvent = id
            ask(run, rounds: 1)
        } else {
            chunk("retry: 50\nid: \(id)\ndata:\n\n")
            after(Dice.time(upTo: server.profile.serverThinking)) { [self] in conclude(run, response) }
        }
        endStream()
    }

    /// The response of a run whose stream may have ended.
    private func conclude(_ run: ServerRun, _ response: String) {
        guard run.isResumable else { return finish(run, response) }
        run.due = response
        if let stream = run.stream, stream.isOpen { stream.deliver(run, response) }
    }

    fileprivate func deliver(_ run: ServerRun, _ response: String) {
        run.due = nil
        run.session.resumable = run.session.resumable.filter { $0.value !== run }
        run.release()
        run.call.responses += 1
        event(response)
        endStream()
    }

    private func progress(_ run: ServerRun, _ count: Int, of done: Int, _ response: String) {
        if let token = run.token {
            event(
                #"{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":\#(token.source),"progress":\#(done + 1),"message":"\#(run.call.mark)"}}"#
            )
        }
        after(Dice.time(upTo: server.profile.serverThinking)) { [self] in
            if done + 1 < count { progress(run, count, of: done + 1, response) } else { finish(run, response) }
        }
    }

    /// Asks, and answers when the client has.
    private func ask(_ run: ServerRun, rounds: Int) {
        let session = run.session
        let question = session.nextQuestion
        session.nextQuestion += 1
        run.call.questions += 1
        server.model.trace("question % in session %, for call %", question, session.number, run.call.number)
        session.questions[question] = { [self] reply in
            let value = reply["result"]?["content"]?["value"]?.text
            if let value, value != run.call.mark {
                server.model.violate("an answer to call \(run.call.number) that is not its own: \(value)")
            }
            run.isAnswered = value != nil
            after(Dice.time(upTo: server.profile.serverThinking)) { [self] in
                if run.way == .page, let page = run.page {
                    run.page = nil
                    let wait = Dice.time(upTo: 40 * second)
                    return after(wait) { [self] in
                        if Dice.happens(700), !isGone {
                            event(
                                #"{"jsonrpc":"2.0","method":"notifications/elicitation/complete","params":{"elicitationId":"\#(page)"}}"#
                            )
                        }
                        if run.isCancelled {
                            end(run, responds: false)
                            endStream()
                        } else {
                            finish(run, run.response())
                        }
                    }
                }
                if rounds > 1, value != nil {
                    ask(run, rounds: rounds - 1)
                } else if run.isCancelled {
                    end(run, responds: false)
                    endStream()
                } else {
                    conclude(run, run.response())
                }
            }
        }
        var what = #""requestedSchema":{"type":"object","properties":{"value":{"type":"string"}}}"#
        if run.way == .page {
            run.page = "page-\(run.call.number)-\(question)"
            what = #""mode":"url","url":"https://example.com/","elicitationId":"\#(run.page ?? "")""#
        }
        let text =
            #"{"jsonrpc":"2.0","id":\#(question),"method":"elicitation/create","params":{"message":"\#(run.call.mark)",\#(what)}}"#
        if run.way == .withdraws {
            after(Dice.time(upTo: Dice.one(of: [60 * millisecond, 5 * second]))) { [self] in
                guard session.questions.removeValue(forKey: question) != nil else { return }
                if !isGone {
                    event(#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":\#(question)}}"#)
                }
                if run.isCancelled {
                    end(run, responds: false)
                    return endStream()
                }
                finish(run, run.response())
            }
        }
        if let id = run.lastEvent {
            chunk("id: \(id)\nretry: 50\ndata: \(text)\n\n")
            return
        }
        if run.way == .asksAside, let stream = session.stream, !stream.isGone {
            stream.event(text)
        } else {
            event(text)
        }
    }
}

/// A call that a server runs.
final class ServerRun {
    let call: Call
    let id: Int
    let session: ServerSession
    let way: Way
    let token: JSON?
    var isAnswered = false
    /// Whether its stream can be taken up, by which id, where it goes on, and what is to be said there.
    var isResumable = false
    var lastEvent: String?
    var stream: ServerConnection?
    var due: String?
    /// The page that is to be visited.
    var page: String?
    /// Whether it counts as the one call of its session that may be asked.
    var isHolding = false

    /// It has ended, or nobody wants it any more.
    func release() {
        session.runs[id] = nil
        if isHolding { session.asking -= 1 }
        isHolding = false
    }

    /// With which its request came.
    let credential: String?

    init(_ call: Call, _ id: Int, _ session: ServerSession, _ way: Way, token: JSON?, credential: String?) {
        self.credential = credential
        (self.call, self.id, self.session, self.way, self.token) = (call, id, session, way, token)
    }

    var isCancelled: Bool { session.cancelled.contains(id) }

    func response() -> String {
        if way == .error {
            return #"{"jsonrpc":"2.0","id":\#(id),"error":{"code":-1,"message":"\#(call.mark)"}}"#
        }
        let text = Call.text(call.mark, for: credential, in: session.owner, padding: call.padding)
        let result =
            switch call.tool {
            case .prompt: #"{"messages":[{"role":"user","content":{"type":"text","text":"\#(text)"}}]}"#
            case .resource: #"{"contents":[{"uri":"test:resource","text":"\#(text)"}]}"#
            default:
                #"{"content":[{"type":"text","text":"\#(text)"}]\#(way == .toolError ? #","isError":true"# : "")}"#
            }
        return #"{"jsonrpc":"2.0","id":\#(id),"result":\#(result)}"#
    }
}
