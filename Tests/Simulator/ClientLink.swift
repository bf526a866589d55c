import SimulatedKernel

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
    /// Whether it reads in sips.
    var isSlow = false
    /// Whether it has ended its side.
    private var hasLeft = false

    init(of client: PlayedClient, to port: UInt16) {
        self.client = client
        super.init(sim_connect(Run.hostOfClients, port), in: client.run.world, isConnected: false)
    }

    /// Whether it is connected, and waits for nothing.
    var isIdle: Bool { exchanges.isEmpty && whenConnected == nil }

    /// Whether it will wait for what ends when it leaves, and whether it does so now.
    var hasListener: Bool {
        if case .listen = exchanges.last?.kind { true } else { false }
    }

    var isListening: Bool {
        if case .listen = exchanges.first?.kind { true } else { false }
    }

    /// What it waits for.
    var waiting: String {
        exchanges.first.map { exchange in
            if case .call(let call) = exchange.kind { "call \(call.number)" } else { "\(exchange.kind)" }
        } ?? "nothing"
    }

    func begin(_ exchange: Exchange) {
        exchange.begun = world.now
        exchanges.append(exchange)
        sent += 1
        switch exchange.kind {
        case .call(let call): client.run.model.trace("client % sends call %", client.number, call.number)
        default: client.run.model.trace("client % sends something else", client.number)
        }
        send(exchange.request.bytes(of: exchange.caller))
    }

    /// Ends its side, and reads on. Who cannot tell that from one that leaves may end the connection.
    func sendsNoMore() {
        hasLeft = true
        finish()
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
        client.lost(left, isOwn: isOwn || hasLeft || left.first.map(isOverdue) == true)
    }

    override func connected() {
        whenConnected?()
        whenConnected = nil
    }

    override func finished() {
        if !reader.finish(), !client.mayBreakOff, !hasLeft, exchanges.first.map(isOverdue) != true {
            client.run.model.violate("a response that ends in its middle: \(state)")
        }
        proceed()
        if isOpen { lose(isOwn: false) }
    }

    /// What a client reads more slowly than its server may take for the whole answer is cut.
    private func isOverdue(_ exchange: Exchange) -> Bool {
        isSlow && world.now - exchange.begun > Int64(client.run.profile.requestTimeout) * second
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
                    guard !exchanges.isEmpty else {
                        return client.run.model.violate("a response to no request: \(head.start)")
                    }
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
                return client.run.model.violate(
                    "an event that is not JSON: \(String(decoding: data.prefix(200), as: UTF8.self))")
            }
            if message["method"] != nil {
                if response != nil { client.run.model.violate("a notification behind the response") }
                let isOfListener = message["params"]?["_meta"]?["io.modelcontextprotocol/subscriptionId"] != nil
                if isOfListener != isListening {
                    client.run.model.violate("\(waiting) was told \(String(message.source.prefix(300)))")
                }
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
            // What has not come in time has no id that could be read.
            let isLate = head.status == 408 && !client.run.profile.isCalm
            if let own = exchange.request.id, id != own, !isLate {
                client.run.model.violate(
                    "an answer with id \(id) to a request with \(own): \(String(response.source.prefix(300)))")
            }
            client.answered(exchange, response, head)
        } else if exchange.request.id == nil || client.isPassed && head.status != 200 {
            client.answered(exchange, .null, head)
        } else if client.isPassed, client.mayBreakOff {
            client.lost([exchange], isOwn: false)
        } else {
            client.run.model.violate("status \(head.status) without a response to \(waiting)")
        }
        if closes, isOpen { return lose(isOwn: true) }
        if exchanges.isEmpty, isOpen { client.isIdle() }
    }
}
