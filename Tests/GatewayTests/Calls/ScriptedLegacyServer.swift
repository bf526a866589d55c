import HTTPTransport
import HTTPWire
import JSONText
import MCP
import Reactor

/// A legacy server of 2025-11-25 over Streamable HTTP that answers as a test wants it to.
final class ScriptedLegacyServer {
    /// One message that came, with the way of its answer.
    final class Message {
        let method: String
        let envelope: Envelope
        /// As it was spelled; empty for a notification.
        let id: String
        let session: String
        private let connection: HTTPServerConnection
        private var isStream = false
        fileprivate(set) var isAnswered = false
        private let changed: Wakeup

        fileprivate init(
            _ envelope: Envelope, of session: String, on connection: HTTPServerConnection, telling changed: Wakeup
        ) {
            self.envelope = envelope
            self.changed = changed
            self.session = session
            self.connection = connection
            let document = envelope.document
            switch envelope.kind {
            case .request(let id, let method):
                self.method = document.string(method) ?? ""
                self.id = String(decoding: document.raw(id), as: UTF8.self)
            case .notification(let method):
                self.method = document.string(method) ?? ""
                id = ""
            case .response, .unclear:
                method = ""
                id = ""
            }
        }

        var text: String { String(decoding: envelope.document.bytes, as: UTF8.self) }

        /// Answers with a result, in the stream where there is one.
        func result(_ result: String) { finish(#"{"jsonrpc":"2.0","id":\#(id),"result":\#(result)}"#) }

        func error(_ code: Int, _ message: String, data: String? = nil) {
            let data = data.map { #","data":\#($0)"# } ?? ""
            finish(#"{"jsonrpc":"2.0","id":\#(id),"error":{"code":\#(code),"message":"\#(message)"\#(data)}}"#)
        }

        fileprivate func answered() {
            isAnswered = true
            changed.signal()
        }

        private func finish(_ text: String) {
            defer { answered() }
            if isStream {
                event(text)
                connection.endStream()
            } else {
                connection.respond(HTTPResponse(status: 200, contentType: "application/json"), body: Array(text.utf8))
            }
        }

        /// Sends a message before the answer.
        func event(_ text: String) {
            if !isStream { connection.beginStream(HTTPResponse(status: 200, contentType: "text/event-stream")) }
            isStream = true
            connection.sendPart(SSEEncoder.event(type: "message", data: [Array(text.utf8)[...]]))
        }

        func status(_ status: Int) {
            connection.respond(HTTPResponse(status: status))
            answered()
        }

        /// Cuts the connection.
        func cut() {
            connection.close()
            answered()
        }
    }

    /// Returns whether it answers the message, now or later; else the server does as most would.
    typealias Script = (ScriptedLegacyServer, Message) -> Bool

    private static let limits = HTTPServerConnection.Limits(
        maxBody: 1 << 20, headerTimeout: .seconds(10), bodyTimeout: .seconds(10), idleTimeout: .seconds(60))

    var script: Script
    /// Further members of the capabilities of the server.
    var capabilities = #""tools":{}"#
    /// Whether GET opens a stream.
    var offersPushStream = false
    private(set) var pushStreams: [HTTPServerConnection] = []
    private(set) var messages: [Message] = []
    /// The ids of the sessions that it knows.
    var sessions: Set<String> = []
    let changed = Wakeup()
    private let loop: Loop
    private let listener: Listener
    private var lastSession = 0
    private var connections: [HTTPServerConnection] = []

    init(on loop: Loop, _ script: @escaping Script = { _, _ in false }) throws {
        guard let any = SocketAddress(host: "127.0.0.1", port: 0) else { preconditionFailure("no address") }
        self.loop = loop
        self.script = script
        listener = try Listener(on: loop, address: any, maxConnections: 1000, shared: false)
        listener.startAccepting { [unowned self] socket in
            let connection = HTTPServerConnection(socket, on: loop, limits: ScriptedLegacyServer.limits)
            connections.append(connection)
            loop.spawn { await self.serve(connection) }
        }
    }

    var address: SocketAddress { listener.address }

    /// The methods that came, in their order.
    var methods: [String] { messages.map(\.method) }

    func count(_ method: String) -> Int { messages.count { $0.method == method } }

    func close() {
        listener.closeListener()
        for connection in connections { connection.close() }
    }

    private func serve(_ connection: HTTPServerConnection) async {
        while case .request(let request) = await connection.nextArrival() {
            if request.head.method == .get, offersPushStream {
                await push(on: connection)
                continue
            }
            guard request.head.method == .post else {
                connection.respond(HTTPResponse(status: request.head.method == .delete ? 200 : 405))
                continue
            }
            guard let document = try? JSONDocument(request.body), let envelope = try? Envelope(document) else {
                connection.respond(HTTPResponse(status: 400))
                continue
            }
            let session = request.head.fields.first(Header.sessionID).map { String(decoding: $0.bytes, as: UTF8.self) }
            let message = Message(envelope, of: session ?? "", on: connection, telling: changed)
            messages.append(message)
            changed.signal()
            connection.onDisconnect = { message.answered() }
            if !script(self, message) { answer(message, on: connection) }
            while !message.isAnswered { await changed.wait() }
        }
    }

    /// Keeps the GET stream of a session until it is cut.
    private func push(on connection: HTTPServerConnection) async {
        var isOpen = true
        connection.onDisconnect = { [changed] in
            isOpen = false
            changed.signal()
        }
        connection.beginStream(HTTPResponse(status: 200, contentType: "text/event-stream"))
        pushStreams.append(connection)
        changed.signal()
        while isOpen { await changed.wait() }
    }

    /// Sends a message on the latest GET stream.
    func push(_ text: String) {
        pushStreams.last?.sendPart(SSEEncoder.event(type: "message", data: [Array(text.utf8)[...]]))
    }

    /// What a server does that behaves.
    func answer(_ message: Message, on connection: HTTPServerConnection? = nil) {
        if message.method == "initialize" {
            lastSession += 1
            sessions.insert("s\(lastSession)")
            let result =
                #"{"protocolVersion":"2025-11-25","capabilities":{\#(capabilities)},"serverInfo":{"name":"s","version":"1"}}"#
            let text = #"{"jsonrpc":"2.0","id":\#(message.id),"result":\#(result)}"#
            connection?.respond(
                HTTPResponse(
                    status: 200, contentType: "application/json",
                    fields: [(Header.sessionID, Array("s\(lastSession)".utf8))]), body: Array(text.utf8))
            return message.answered()
        }
        guard sessions.contains(message.session) else { return message.status(404) }
        switch message.method {
        case _ where message.id.isEmpty: message.status(202)
        case "tools/list": message.result(#"{"tools":[{"name":"add","inputSchema":{"type":"object"}}]}"#)
        case "tools/call": message.result(#"{"content":[{"type":"text","text":"done"}]}"#)
        default: message.result("{}")
        }
    }
}
