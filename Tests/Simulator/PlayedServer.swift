import SimulatedKernel

/// A legacy server with sessions, over Streamable HTTP (2025-11-25) or HTTP with server-sent events (2024-11-05).
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

    /// Somebody reads a list, which may change meanwhile.
    var onListRead: ((String?) -> Void)?

    /// Tells of a list that is another one, in every session of a caller that hears it.
    func tellListChange(of method: String, for credential: String?) {
        let heard = sessions.values.filter {
            $0.owner == credential && $0.isIntroduced && !$0.isOfOlderClient && $0.stream?.isOpen == true
        }
        .sorted { $0.number < $1.number }
        for session in heard {
            session.stream?.event(#"{"jsonrpc":"2.0","method":"notifications/\#(method)/list_changed"}"#)
        }
        if !heard.isEmpty { model.toldList("\(method) for \(credential ?? "nobody")") }
    }

    /// Whether each answer comes once: one whose connection breaks off may be sent again.
    var mayNotAnswerTwice: Bool { profile.mood == .calm || profile.mood == .breezy }

    /// Tells of a change of something that a caller is subscribed to, or anybody.
    func change(of caller: Caller? = nil) {
        let told = sessions.values.filter { session in
            !session.subscribed.isEmpty && session.stream?.isOpen == true
                && (caller == nil || session.owner == caller?.credential)
        }
        .sorted { $0.number < $1.number }
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
        for session in sessions.values { session.isGone = true }
        sessions = [:]
    }

    func forget(_ connection: ServerConnection) { connections[ObjectIdentifier(connection)] = nil }

    func open(for credential: String?) -> ServerSession {
        named += 1
        let session = ServerSession(named, "s\(port)-\(life)-\(named)", owner: credential)
        sessions[session.id] = session
        return session
    }

    /// What a server without sessions knows of a caller.
    func modernSession(for credential: String?) -> ServerSession {
        if let known = sessions.values.first(where: { $0.owner == credential }) { return known }
        return open(for: credential)
    }

    /// Another session is opened for a caller. Where nothing fails and one Remora has one server, none is while others of its kind have
    /// had nothing to do for a while. Some may be kept for what the server does not know of.
    func checkNeed(of credential: String?, _ isAskable: Bool) {
        guard profile.isCalm, profile.replicas == 1, profile.servers == 1 else { return }
        let idle = sessions.values.filter { session in
            session.owner == credential && session.isAskable == isAskable && session.isIntroduced
                && !session.isOfOlderClient && session.runs.isEmpty && world.now - session.idleSince > 10 * second
                // A call that was cancelled may run on in it.
                && session.cancelled.isEmpty
        }
        if idle.count > 5 {
            model.violate("a session is opened for \(credential ?? "nobody"), of whom \(idle.count) are idle")
        }
    }

    func end(_ session: ServerSession) {
        sessions[session.id] = nil
        session.isGone = true
        model.trace("session % ends", session.number)
        session.stream?.endStream()
        session.stream = nil
    }
}

/// A session of a server.
final class ServerSession {
    let id: String
    let owner: String?
    /// Whether it was declared that its client can be asked.
    var isAskable = false
    /// Whether the server knows it no more.
    var isGone = false
    /// Whether its client has said `notifications/initialized`.
    var isIntroduced = false
    /// Whether its client speaks to it through Remora as it is.
    var isOfOlderClient = false
    /// The GET stream.
    var stream: ServerConnection?
    /// Runs whose streams can be taken up, by the ids of their last events.
    var resumable: [String: ServerRun] = [:]
    /// Resources whose changes are to be told.
    var subscribed: [String] = []
    /// Questions that were answered.
    var answered: Set<Int> = []
    /// What waits for the answer to a question, by its id.
    var questions: [Int: (JSON) -> Void] = [:]
    var nextQuestion = 1
    /// The ids of requests that were cancelled.
    var cancelled: Set<String> = []
    var wasAskedEarly = false
    /// Calls that may be asked, run now, and are wanted.
    var asking = 0
    /// By the ids of their requests.
    var runs: [String: ServerRun] = [:]
    /// When it was opened, or its last run ended.
    var idleSince = sim_now()

    let number: Int

    init(_ number: Int, _ id: String, owner: String?) {
        self.number = number
        (self.id, self.owner) = (id, owner)
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
    private(set) var isStreaming = false
    /// Whether the request was answered before it was read.
    private var isEarly = false
    private var hasLookedEarly = false
    private var answeredEarly: Int64 = 0
    /// Whether the rest of a request that was answered early can no more have left when the answer came.
    private var isToEnd = false
    /// The session whose event stream this is, or that this answers on, where the server is one of 2024-11-05.
    private var carried: ServerSession?
    /// The call that it answers.
    private var running: ServerRun?
    nonisolated(unsafe) private static var made = 0

    /// - Parameter end: -1 for what answers on the event stream of a session.
    init(_ end: Int32, of server: PlayedServer, on carried: ServerSession? = nil) {
        self.server = server
        self.carried = carried
        ServerConnection.made += 1
        number = ServerConnection.made
        super.init(end, in: server.world, isConnected: true)
    }

    override func received(_ bytes: [UInt8]) {
        // Its head may need a small window several times: what counts is when it begins.
        if let endedAt { return loseRequest(since: endedAt) }
        reader.append(bytes)
        proceed()
    }

    override func finished() { gone() }
    override func ended() { gone() }

    private func gone() {
        if isAnswering { server.model.trace("connection % of the server is gone while it answers", number) }
        if running != nil { server.model.noteWork() }
        running?.release()
        // That is how a client of 2026-07-28 cancels.
        if server.profile.isModern { running?.isOver = true }
        isGone = true
        if let carried { server.end(carried) }
        close()
        server.forget(self)
    }

    private func proceed() {
        do throws(HTTPReader.Malformed) {
            while isOpen, !isAnswering, let part = try reader.next() {
                switch part {
                case .head(let head):
                    if isToEnd { server.model.violate("a request behind one that has not left") }
                    requests += 1
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
        endWhenIdle()
        // What it answered may go on elsewhere, and the connection serves other sessions.
        running = nil
        // Not within the handling of what was received before.
        proceed()
    }

    /// When it has ended its side, because nothing came.
    private var endedAt: Int64?
    private var requests = 0

    /// Ends a connection on which nothing comes for a while, as servers do: no part of a request has come, and no part of an answer is left.
    private func endWhenIdle() {
        guard carried == nil, Dice.happens(server.profile.endsIdle) else { return }
        let before = requests
        world.after(Dice.time(upTo: 2 * second) + 20 * millisecond) { [weak self] in
            guard let self, isOpen, !isAnswering, endedAt == nil, requests == before, arriving == 0, unsent == 0,
                reader.isIdle
            else { return }
            endedAt = world.now
            finish()
        }
    }

    /// What comes on a connection that was ended is lost: who sends it looks before, unless the end is on its way.
    private func loseRequest(since end: Int64) {
        let weather = server.profile.weather
        let delays = weather.latency_most + weather.wake_most + weather.stall_most + weather.late_most
        if server.world.now - end > 2 * delays + 60 * millisecond {
            server.model.violate(
                "a request on a connection that was ended \((server.world.now - end) / millisecond) ms before")
        }
        server.model.note("requests on ended connections")
        reset()
        gone()
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
            case let id = String(decoding: body[(place + 5)...].prefix { 48...57 ~= $0 }, as: UTF8.self), !id.isEmpty
        else { return }
        var found: Call?
        server.model.marks(in: body) { found = $0 }
        guard let call = found else { return }
        server.model.note("ways: early")
        isEarly = true
        answeredEarly = server.world.now
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
            world.after(Dice.time(upTo: most)) { [weak self] in self?.readRest() }
        }
    }

    /// Reads on behind what was answered early. What has not left by now was not to be waited for: the answer has long come.
    private func readRest() {
        let length = head?["content-length"].flatMap { Int($0) } ?? 0
        let weather = server.profile.weather
        let isLong = server.world.now - answeredEarly > 2 * second + 4 * (weather.late_most + weather.stall_most)
        if isOpen, isLong, isEarly, body.count + arriving < length { isToEnd = true }
        isReading = true
    }

    private var credential: String? { head?["authorization"] }

    private func serve() {
        guard let head else { return }
        isAnswering = true
        server.model.check(served: body, with: credential)
        let name = server.profile.isEventStream ? head.query("session") : head["mcp-session-id"]
        let session = name.flatMap { server.sessions[$0] }
        if let session, session.owner != credential {
            server.model.violate("a request of \(credential ?? "nobody") in a session of \(session.owner ?? "nobody")")
        }
        if server.profile.isModern { return serveModern() }
        switch head.method {
        case "GET": serveGet(session)
        case "DELETE":
            if let session { server.end(session) }
            plain(session == nil ? "404 Not Found" : "200 OK")
        case "POST":
            guard let message = JSON(body) else { return server.model.violate("the server received what is not JSON") }
            guard server.profile.isEventStream else { return serve(message, session) }
            let body = body
            plain(session == nil ? "404 Not Found" : "202 Accepted")
            if let session { ServerConnection(-1, of: server, on: session).take(message, body, head) }
        default: plain("405 Method Not Allowed")
        }
    }

    /// Serves a request of 2026-07-28.
    private func serveModern() {
        guard head?.method == "POST" else { return plain("405 Method Not Allowed") }
        guard let message = JSON(body) else { return plain("400 Bad Request") }
        guard let method = message["method"]?.text, let id = message["id"]?.source else { return plain("202 Accepted") }
        switch method {
        case "server/discover":
            document(
                id,
                #"{"resultType":"complete","supportedVersions":["2026-07-28"],"capabilities":{"tools":{},"prompts":{},"resources":{}},"serverInfo":{"name":"played","version":"1"}}"#
            )
        case "tools/list":
            let tools = ServerConnection.tools(server.model.listWords("tools", for: credential))
            document(id, #"{"resultType":"complete",\#(tools.dropFirst())"#)
        case "prompts/list":
            let prompts = ServerConnection.prompts(server.model.listWords("prompts", for: credential))
            document(id, #"{"resultType":"complete",\#(prompts.dropFirst())"#)
        case "tools/call", "prompts/get", "resources/read": call(message, id, server.modernSession(for: credential))
        default: text(#"{"jsonrpc":"2.0","id":\#(id),"error":{"code":-32601,"message":"no"}}"#)
        }
    }

    /// Serves what was posted, on the event stream of its session.
    private func take(_ message: JSON, _ body: [UInt8], _ head: HTTPReader.Head) {
        self.head = head
        self.body = body
        serve(message, carried)
    }

    private func serveGet(_ session: ServerSession?) {
        if server.profile.isEventStream {
            let session = server.open(for: credential)
            session.stream = self
            carried = session
            beginStream()
            chunk("event: endpoint\ndata: /messages?session=\(session.id)\n\n")
            return
        }
        guard let session else { return plain("404 Not Found") }
        if let last = head?["last-event-id"], let run = session.resumable[last] {
            // It is taken up where it was.
            return after(Dice.time(upTo: server.profile.serverThinking)) { [self] in
                if !server.profile.isCalm, Dice.happens(200) {
                    // Its response can come nowhere.
                    run.isOver = true
                    return plain("405 Method Not Allowed")
                }
                run.stream = self
                beginStream()
                chunk(": taken up\n\n")
                if let question = run.question, Dice.happens(server.profile.repeatsQuestions) { event(question) }
                if let response = run.due { deliver(run, response) }
            }
        }
        guard server.profile.pushes else { return plain("405 Method Not Allowed") }
        session.stream?.endStream()
        session.stream = self
        beginStream()
        if !session.wasAskedEarly, Dice.happens(server.profile.earlyQuestions) { askEarly(session, on: self) }
        guard Dice.happens(server.profile.pushEnds) else { return }
        after(Dice.time(upTo: 100 * second)) { [self] in
            guard session.stream === self else { return }
            session.stream = nil
            endStream()
        }
    }

    private func serve(_ message: JSON, _ session: ServerSession?) {
        guard let method = message["method"]?.text else {
            // An answer to a question.
            server.model.trace(
                "the server got an answer to question % in session %", message["id"]?.number ?? 0, session?.number ?? 0)
            if let session, let id = message["id"]?.number, session.answered.contains(id), server.mayNotAnswerTwice {
                server.model.violate("question \(id) in session \(session.number) was answered twice")
            }
            if let session, let id = message["id"]?.number, let body = session.questions.removeValue(forKey: id) {
                body(message)
            }
            return plain(session == nil ? "404 Not Found" : "202 Accepted")
        }
        server.model.trace("the server got a request in session % on connection %", session?.number ?? 0, number)
        server.model.note("requests: \(method)")
        if method == "initialize" { return initialize(message) }
        guard let session else { return plain("404 Not Found") }
        guard let id = message["id"]?.source else {
            if method == "notifications/initialized" { session.isIntroduced = true }
            if method == "notifications/initialized", let stream = session.stream { askEarly(session, on: stream) }
            if method == "notifications/cancelled", let id = message["params"]?["requestId"]?.source {
                session.cancelled.insert(id)
                server.model.trace("request % is cancelled in session %", Int(id) ?? 0, session.number)
                session.runs[id]?.release()
                // It has its turn for some seconds more, in which its handler may end.
                server.model.noteWork()
            }
            return plain("202 Accepted")
        }
        switch method {
        case "tools/list": list(id, ServerConnection.tools(server.model.listWords("tools", for: credential)))
        case "prompts/list": list(id, ServerConnection.prompts(server.model.listWords("prompts", for: credential)))
        case "resources/list": document(id, #"{"resources":[{"uri":"test:resource","name":"r"}]}"#)
        case "tools/call", "prompts/get", "resources/read": call(message, id, session)
        case "resources/subscribe":
            after(Dice.time(upTo: server.profile.serverThinking)) { [self] in
                guard let uri = message["params"]?["uri"]?.text, !Dice.happens(server.profile.refusesSubscriptions)
                else {
                    server.model.trace("session % is not subscribed", session.number)
                    return text(#"{"jsonrpc":"2.0","id":\#(id),"error":{"code":-32602,"message":"no"}}"#)
                }
                server.model.trace("session % is subscribed to a resource of % bytes", session.number, uri.utf8.count)
                if !session.subscribed.contains(uri) { session.subscribed.append(uri) }
                document(id, "{}")
            }
        case "resources/unsubscribe":
            let uri = message["params"]?["uri"]?.text
            server.model.trace(
                "session % is unsubscribed from a resource of % bytes", session.number, uri?.utf8.count ?? 0)
            session.subscribed.removeAll { $0 == uri }
            document(id, "{}")
        default: document(id, "{}")
        }
    }

    /// Asks before there is a call, and may take a question back.
    private func askEarly(_ session: ServerSession, on stream: ServerConnection) {
        guard session.isAskable, !session.wasAskedEarly, Dice.happens(server.profile.earlyQuestions) else { return }
        session.wasAskedEarly = true
        server.model.note("asked early")
        server.model.noteEarlyQuestion()
        for _ in 0..<Dice.number(1...3) {
            let question = session.nextQuestion
            session.nextQuestion += 1
            session.questions[question] = { _ in }
            stream.event(
                #"{"jsonrpc":"2.0","id":\#(question),"method":"elicitation/create","params":{"message":"early \#(question)","requestedSchema":{"type":"object","properties":{}}}}"#
            )
            guard Dice.happens(500) else { continue }
            let before = stream.requests
            after(Dice.time(upTo: Dice.one(of: [30 * millisecond, 2 * second, 20 * second]))) { [weak stream] in
                // It may cross with the answer.
                let isOpen = session.questions.removeValue(forKey: question) != nil
                // The connection may serve another session by now.
                let stream = session.stream ?? (stream?.requests == before ? stream : nil)
                if isOpen || Dice.happens(500), let stream, stream.isStreaming {
                    stream.event(
                        #"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":\#(question)}}"#)
                }
            }
        }
    }

    /// Answers with a list as it is now, perhaps when it is another one already.
    private func list(_ id: String, _ result: String) {
        if Dice.happens(server.profile.changesWhileRead) {
            let credential = credential
            after(Dice.time(upTo: server.profile.serverThinking)) { [self] in server.onListRead?(credential) }
        }
        after(Dice.time(upTo: server.profile.serverThinking)) { [self] in document(id, result) }
    }

    private static func prompts(_ words: String) -> String {
        #"{"prompts":[{"name":"prompt","description":"\#(words)"}]}"#
    }

    private static func tools(_ words: String) -> String {
        let all = [Tool.work, .look, .again].map { tool in
            let hints =
                switch tool {
                case .look: #","annotations":{"readOnlyHint":true}"#
                case .again: #","annotations":{"idempotentHint":true}"#
                default: ""
                }
            return
                #"{"name":"\#(tool.rawValue)","description":"\#(words)","inputSchema":{"type":"object"}\#(hints)}"#
        }
        return #"{"tools":[\#(all.joined(separator: ","))]}"#
    }

    private func initialize(_ message: JSON) {
        guard let id = message["id"]?.source else { return server.model.violate("initialize without id") }
        let isAskable = message["params"]?["capabilities"]?["elicitation"] != nil
        let isOfOlderClient = message["params"]?["clientInfo"]?["name"]?.text == "older"
        if !isOfOlderClient { server.checkNeed(of: credential, isAskable) }
        let session = carried ?? server.open(for: credential)
        session.isAskable = isAskable
        session.isOfOlderClient = isOfOlderClient
        let result =
            #"{"protocolVersion":"2025-11-25","capabilities":{"tools":{"listChanged":true},"prompts":{"listChanged":true},"resources":{"subscribe":true},"logging":{}},"serverInfo":{"name":"played","version":"1"}}"#
        after(Dice.time(upTo: server.profile.serverThinking)) { [self] in
            guard carried == nil, !session.isOfOlderClient, Dice.happens(server.profile.streamsFirst) else {
                return document(id, result, fields: "Mcp-Session-Id: \(session.id)\r\n")
            }
            isStreaming = true
            send(
                "HTTP/1.1 200 OK\r\nMcp-Session-Id: \(session.id)\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
            )
            if Dice.happens(500) { askEarly(session, on: self) }
            if Dice.happens(200) { event(#"{"jsonrpc":"2.0","id":"early","method":"ping"}"#) }
            event(#"{"jsonrpc":"2.0","id":\#(id),"result":\#(result)}"#)
            if Dice.happens(300) { askEarly(session, on: self) }
            if Dice.happens(300) {
                after(Dice.time(upTo: 2 * second)) { [self] in endStream() }
            } else {
                endStream()
            }
        }
    }

    // MARK: Answers

    private func plain(_ status: String, _ fields: String = "") {
        send("HTTP/1.1 \(status)\r\n\(fields)Content-Length: 0\r\n\r\n")
        done()
    }

    private func document(_ id: String, _ result: String, fields: String = "", closes: Bool = false) {
        text(#"{"jsonrpc":"2.0","id":\#(id),"result":\#(result)}"#, fields: fields, closes: closes)
    }

    private func text(_ text: String, status: String = "200 OK", fields: String = "", closes: Bool = false) {
        if carried != nil { return event(text) }
        let close = closes ? "Connection: close\r\n" : ""
        send(
            "HTTP/1.1 \(status)\r\nContent-Type: application/json\r\n\(close)\(fields)Content-Length: \(text.utf8.count)\r\n\r\n\(text)"
        )
        done(closes: closes)
    }

    private func beginStream() {
        guard !isStreaming, isOpen else { return }
        isStreaming = true
        send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
    }

    func event(_ data: String) {
        if let carried, carried.stream !== self {
            carried.stream?.event(data)
            return
        }
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

    private func call(_ message: JSON, _ id: String, _ session: ServerSession) {
        var found: Call?
        server.model.marks(in: body) { found = $0 }
        guard let call = found else { return server.model.violate("a call without a mark") }
        if call.isAskable != session.isAskable, !server.profile.isModern {
            server.model.violate("call \(call.number) in a session whose client was declared otherwise")
        }
        var way = Dice.one(by: server.profile.ways)
        // These get what the server says as it is, and take no stream up again.
        if session.isOfOlderClient, [.resumes, .resumesAsking, .elsewhere, .twice, .another].contains(way) {
            way = .events
        }
        if carried != nil { way = way.onOneStream }
        if server.profile.isModern { way = way.withoutSessions }
        server.model.note("ways: \(way)")
        server.model.trace("call % is % on connection % of the server", call.number, Int(id) ?? 0, number)
        server.model.trace(way.name, session.number)
        let run = ServerRun(
            call, id, session, way, token: message["params"]?["_meta"]?["progressToken"],
            credential: credential)
        run.isModern = server.profile.isModern
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
        run.call.handlers.append(run)
        running = run
        guard run.call.isAskable, !server.profile.isModern else { return }
        run.session.asking += 1
        run.isHolding = true
        if run.session.asking > 1 { server.model.violate("two calls that may be asked, in one session") }
    }

    /// Its handler has ended.
    private func end(_ run: ServerRun, responds: Bool = true) {
        server.model.noteWork()
        run.release()
        run.isOver = true
        if running === run { running = nil }
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
        case .flood:
            // A small window takes its time.
            let isSlow = server.profile.weather.small_window > 0
            let fill = String("f", times: Dice.one(of: isSlow ? [500, 5000] : [500, 5000, 70_000]))
            for place in 1...Dice.number(2...(isSlow ? 5 : 30)) { tellProgress(run, place, fill) }
            if Dice.happens(500), run.session.isAskable, !server.profile.isModern { return ask(run, rounds: 1) }
            if Dice.happens(500) {
                return after(Dice.time(upTo: server.profile.longest)) { [self] in finish(run, response) }
            }
            finish(run, response)
        case .twice:
            end(run)
            event(response)
            event(response)
            endStream()
        case .another:
            // What answers nothing that was asked here, and then the answer.
            event(#"{"jsonrpc":"2.0","id":987654321,"result":{"content":[]}}"#)
            finish(run, response)
        case .elsewhere:
            guard let stream = run.session.stream, stream.isStreaming else { return finish(run, response) }
            plain("202 Accepted")
            end(run)
            stream.event(response)
        case .dropped:
            end(run, responds: false)
            server.end(run.session)
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
            // What goes past the translation may take as long as it says something.
            if !run.call.isPassed, Dice.happens(500) { tellSlowly(run, 1) }
            after(Int64(Dice.number(0...server.profile.requestTimeout * 2)) * second) { [self] in
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

    /// A handler that was cancelled says nothing more. Where its stream has ended before it, its connection serves another call by now.
    private func stop(_ run: ServerRun) {
        let isOwn = running === run
        end(run, responds: false)
        if isOwn { endStream() }
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
        run.isOver = true
        run.call.responses += 1
        event(response)
        endStream()
    }

    /// Tells now and then that it is at work.
    private func tellSlowly(_ run: ServerRun, _ number: Int) {
        if run.isOver || run.isCancelled || isGone { return }
        tellProgress(run, number)
        after(Int64(server.profile.requestTimeout) * second / 4) { [self] in tellSlowly(run, number + 1) }
    }

    private func tellProgress(_ run: ServerRun, _ number: Int, _ fill: String = "") {
        guard let token = run.token else { return }
        event(
            #"{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":\#(token.source),"progress":\#(number),"message":"\#(run.call.mark)\#(fill)"}}"#
        )
    }

    private func progress(_ run: ServerRun, _ count: Int, of done: Int, _ response: String) {
        tellProgress(run, done + 1)
        after(Dice.time(upTo: server.profile.serverThinking)) { [self] in
            if done + 1 < count { progress(run, count, of: done + 1, response) } else { finish(run, response) }
        }
    }

    /// Asks, and answers when the client has.
    private func ask(_ run: ServerRun, rounds: Int) {
        run.unanswered = run.way == .asks && Dice.happens(300) ? Dice.number(2...3) : 1
        for _ in 0..<run.unanswered { askOne(run, rounds: rounds) }
    }

    private func askOne(_ run: ServerRun, rounds: Int) {
        let session = run.session
        let question = session.nextQuestion
        session.nextQuestion += 1
        run.call.questions += 1
        server.model.trace("question % in session %, for call %", question, session.number, run.call.number)
        let words = run.nextWords()
        run.said[question] = words
        session.questions[question] = { [self] reply in heard(reply, to: question, of: run, rounds: rounds) }
        var what = #""requestedSchema":{"type":"object","properties":{"value":{"type":"string"}}}"#
        if run.way == .page {
            run.page = "page-\(run.call.number)-\(question)"
            what = #""mode":"url","url":"https://example.com/","elicitationId":"\#(run.page ?? "")""#
        }
        let text =
            #"{"jsonrpc":"2.0","id":\#(question),"method":"elicitation/create","params":{"message":"\#(run.call.mark)\#(words)",\#(what)}}"#
        run.question = text
        if run.way == .withdraws {
            after(Dice.time(upTo: Dice.one(of: [60 * millisecond, 5 * second]))) { [self] in
                guard session.questions.removeValue(forKey: question) != nil else { return }
                withdraw(question)
                if run.isCancelled { return stop(run) }
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

    private func withdraw(_ question: Int) {
        if isGone { return }
        event(#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":\#(question)}}"#)
    }

    /// The client has answered a question.
    private func heard(_ reply: JSON, to question: Int, of run: ServerRun, rounds: Int) {
        run.session.answered.insert(question)
        server.model.noteWork()
        let value = reply["result"]?["content"]?["value"]?.text
        if let value, value != "\(run.call.mark)\(run.said[question] ?? "")" {
            server.model.violate("an answer to call \(run.call.number) that is not its own: \(value)")
        }
        run.isAnswered = value != nil
        run.call.heard = server.world.now
        run.unanswered -= 1
        // It was taken back when the answer was on its way.
        if isStreaming && running === run || carried != nil, Dice.happens(50) { withdraw(question) }
        guard run.unanswered <= 0 else { return }
        let delay =
            Dice.happens(server.profile.lasting)
            ? Int64(Dice.number(0...Int(server.profile.longest))) : Dice.time(upTo: server.profile.serverThinking)
        after(delay) { [self] in
            if run.way == .page, let page = run.page {
                run.page = nil
                let wait = Dice.time(upTo: server.profile.longest)
                return after(wait) { [self] in
                    if Dice.happens(700), !isGone {
                        event(
                            #"{"jsonrpc":"2.0","method":"notifications/elicitation/complete","params":{"elicitationId":"\#(page)"}}"#
                        )
                    }
                    if run.isCancelled {
                        stop(run)
                    } else {
                        finish(run, run.response())
                    }
                }
            }
            if run.isCancelled {
                stop(run)
            } else if rounds > 1, value != nil {
                ask(run, rounds: rounds - 1)
            } else {
                conclude(run, run.response())
            }
        }
    }
}

/// A call that a server runs.
final class ServerRun {
    let call: Call
    /// As it is spelled.
    let id: String
    let session: ServerSession
    let way: Way
    let token: JSON?
    var isAnswered = false
    /// Questions that wait for an answer.
    var unanswered = 0
    /// Whether its handler has ended.
    var isOver = false
    /// Whether its stream can be taken up, by which id, where it goes on, and what is to be said there.
    var isResumable = false
    var lastEvent: String?
    var stream: ServerConnection?
    var due: String?
    /// What it asked last, and the words of each of its questions.
    var question: String?
    var said: [Int: String] = [:]
    private var words: Set<Int> = []

    /// Others than before, in no order: a second run may ask the same later, or first.
    func nextWords() -> String {
        var number = Dice.number(0...5)
        while !words.insert(number).inserted { number = words.count < 6 ? (number + 1) % 6 : words.count + 1 }
        return " q\(number)"
    }

    /// The page that is to be visited.
    var page: String?
    /// Whether it counts as the one call of its session that may be asked.
    var isHolding = false

    /// It has ended, or nobody wants it any more.
    func release() {
        session.runs[id] = nil
        session.idleSince = sim_now()
        if isHolding { session.asking -= 1 }
        isHolding = false
    }

    /// With which its request came.
    let credential: String?

    init(_ call: Call, _ id: String, _ session: ServerSession, _ way: Way, token: JSON?, credential: String?) {
        self.credential = credential
        (self.call, self.id, self.session, self.way, self.token) = (call, id, session, way, token)
    }

    var isCancelled: Bool { session.cancelled.contains(id) }

    /// What a result of 2026-07-28 begins with.
    var isModern = false

    func response() -> String {
        if way == .error {
            // It repeats what it was asked for.
            return
                #"{"jsonrpc":"2.0","id":\#(id),"error":{"code":-1,"message":"\#(call.complaint)","data":"\#(call.complaint)"}}"#
        }
        let text = Call.text(call.mark, for: credential, in: session.owner, padding: call.padding)
        let type = isModern ? #""resultType":"complete","# : ""
        let result =
            switch call.tool {
            case .prompt: #"{\#(type)"messages":[{"role":"user","content":{"type":"text","text":"\#(text)"}}]}"#
            case .resource: #"{\#(type)"contents":[{"uri":"test:resource","text":"\#(text)"}]}"#
            default:
                #"{\#(type)"content":[{"type":"text","text":"\#(text)"}]\#(way == .toolError ? #","isError":true"# : "")}"#
            }
        return #"{"jsonrpc":"2.0","id":\#(id),"result":\#(result)}"#
    }
}
