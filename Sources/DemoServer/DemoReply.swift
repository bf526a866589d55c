import HTTPTransport
import HTTPWire
import JSONText

/// The answer to one request while it is made: a JSON body, or a stream once there is something to say before the end.
final class DemoReply {
    let id: [UInt8]
    private let connection: HTTPServerConnection
    private let fields: [(name: StaticString, value: [UInt8])]
    private var isStream = false
    private let prefersStreams: Bool
    /// Whether the client went away before it had the answer.
    private(set) var hasClientLeft = false

    init(
        id: [UInt8], on connection: HTTPServerConnection, prefersStreams: Bool,
        fields: [(name: StaticString, value: [UInt8])] = []
    ) {
        self.id = id
        self.connection = connection
        self.prefersStreams = prefersStreams
        self.fields = fields
    }

    /// Has `tell` called when the client goes away before it has the answer.
    func whenClientLeaves(_ tell: @escaping () -> Void) {
        connection.onDisconnect = { [weak self] in
            self?.hasClientLeft = true
            tell()
        }
    }

    /// Sends a message that is not the answer.
    func sendMessage(_ message: [UInt8]) {
        if !isStream { beginStream() }
        connection.sendPart(messageEvent(message))
    }

    func finishWithResult(_ result: [UInt8]) { finishMessage(responseText(member: #","result":"#, result)) }

    func finishWithError(code: Int, _ text: String) {
        var error = Array(#"{"code":\#(code),"message":"#.utf8)
        error.appendJSON(text)
        error.append(UInt8(ascii: "}"))
        finishMessage(responseText(member: #","error":"#, error))
    }

    private func responseText(member: StaticString, _ value: [UInt8]) -> [UInt8] {
        var text = [UInt8]()
        text.reserveCapacity(value.count + id.count + 48)
        text.append(#"{"jsonrpc":"2.0","id":"#)
        text.append(contentsOf: id)
        text.append(member)
        text.append(contentsOf: value)
        text.append("}")
        return text
    }

    private func finishMessage(_ message: [UInt8]) {
        if prefersStreams, !isStream { beginStream() }
        if isStream {
            connection.sendPart(messageEvent(message))
            connection.endStream()
        } else {
            connection.respond(
                HTTPResponse(status: 200, contentType: "application/json", fields: fields), body: message)
        }
    }

    private func beginStream() {
        isStream = true
        connection.beginStream(HTTPResponse(status: 200, contentType: "text/event-stream", fields: fields))
    }

    private func messageEvent(_ message: [UInt8]) -> [ArraySlice<UInt8>] {
        SSEEncoder.event(type: "message", data: [message[...]])
    }
}
