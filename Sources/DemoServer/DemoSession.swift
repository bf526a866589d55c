import HTTPTransport
import HTTPWire
import JSONText
import MCP
import Reactor

/// One session of the demo server, and its tools.
final class DemoSession {
    let id: [UInt8]
    private let loop: Loop
    private let canElicit: Bool
    private var counter = 0
    private var lastQuestion = -1
    private var questions: [Int: Question] = [:]
    /// Calls that can be cancelled, and those of them that have been.
    private var cancellable: Set<[UInt8]> = []
    private var cancelled: Set<[UInt8]> = []
    private var pushConnection: HTTPServerConnection?
    /// Opened when a question is answered, a client leaves or the session ends.
    private let changed = Wakeup()
    private var hasEnded = false

    private final class Question {
        var answer: Envelope?
    }

    init(id: [UInt8], canElicit: Bool, on loop: Loop) {
        self.id = id
        self.canElicit = canElicit
        self.loop = loop
    }

    func serveMethod(_ method: JSONValue, _ message: Envelope, _ reply: DemoReply) async {
        let document = message.document
        switch document.string(method) {
        case "ping": reply.finishWithResult(Array("{}".utf8))
        case "tools/list": reply.finishWithResult(DemoCatalog.tools)
        case "tools/call": await callTool(message, reply)
        default: reply.finishWithError(code: -32601, "Method not found")
        }
    }

    func noteNotification(_ message: Envelope) {
        guard case .notification(let method) = message.kind,
            message.document.string(method, equals: "notifications/cancelled"), let params = message.params,
            let requestID = message.document.value("requestId", of: params)
        else { return }
        let id = Array(message.document.raw(requestID))
        if cancellable.contains(id) { cancelled.insert(id) }
    }

    func noteAnswer(_ message: Envelope) {
        guard case .response(let id, _) = message.kind, let id, let number = message.document.integer(id),
            let question = questions.removeValue(forKey: Int(number))
        else { return }
        question.answer = message
        changed.signal()
    }

    // MARK: The GET stream

    func pushMessages(on connection: HTTPServerConnection) async {
        guard pushConnection == nil else { return connection.respond(HTTPResponse(status: 409)) }
        pushConnection = connection
        // A client that sends no more may still read, which cannot be seen.
        var hasLeft = false
        connection.onDisconnect = { [changed] in
            hasLeft = true
            changed.signal()
        }
        connection.beginStream(HTTPResponse(status: 200, contentType: "text/event-stream"))
        while !hasLeft, !hasEnded { await changed.wait() }
        pushConnection = nil
        connection.endStream()
    }

    func endSession() {
        hasEnded = true
        changed.signal()
    }

    // MARK: Tools

    private func callTool(_ message: Envelope, _ reply: DemoReply) async {
        let document = message.document
        guard let params = message.params, let name = document.value("name", of: params) else {
            return reply.finishWithError(code: -32602, "Invalid params: no name")
        }
        let arguments = document.value("arguments", of: params)
        switch document.string(name) {
        case "echo":
            let text = arguments.flatMap { document.value("text", of: $0) }.flatMap { document.stringBytes($0) }
            reply.finishWithResult(DemoCatalog.textResult(text ?? []))
        case "counter":
            counter += 1
            reply.finishWithResult(DemoCatalog.textResult(Array("\(counter)".utf8)))
        case "slow":
            await runSlowTool(message, arguments, reply)
        case "ask":
            await askUser(toolArgument("times", of: document, arguments, default: 1, 1...10), reply)
        default:
            reply.finishWithResult(DemoCatalog.failureResult("Unknown tool"))
        }
    }

    /// Sleeps `seconds` in `steps`, and tells of each step if the client gave a progress token.
    private func runSlowTool(_ message: Envelope, _ arguments: JSONValue?, _ reply: DemoReply) async {
        let document = message.document
        let steps = toolArgument("steps", of: document, arguments, default: 4, 1...1000)
        let milliseconds = toolArgument("milliseconds", of: document, arguments, default: 400, 0...600_000)
        let token = message.meta.flatMap { document.value(MetaKey.progressToken, of: $0) }
        cancellable.insert(reply.id)
        defer {
            cancellable.remove(reply.id)
            cancelled.remove(reply.id)
        }
        for step in 1...steps {
            await Pause(on: loop).waitFor(.milliseconds(milliseconds / steps))
            if cancelled.contains(reply.id) { return reply.finishWithError(code: 0, "Request cancelled") }
            if let token { reply.sendMessage(DemoCatalog.progressNotification(document.raw(token), step, of: steps)) }
        }
        reply.finishWithResult(DemoCatalog.textResult(Array("done in \(steps) steps".utf8)))
    }

    private func toolArgument(
        _ name: StaticString, of document: JSONDocument, _ arguments: JSONValue?, default value: Int,
        _ range: ClosedRange<Int>
    ) -> Int {
        let given = arguments.flatMap { document.value(name, of: $0) }.flatMap { document.integer($0) }
        return min(max(given.map { Int(clamping: $0) } ?? value, range.lowerBound), range.upperBound)
    }

    /// Asks the user for names, in the middle of the call.
    private func askUser(_ times: Int, _ reply: DemoReply) async {
        guard canElicit else {
            return reply.finishWithResult(
                DemoCatalog.failureResult("This tool asks a question, and the client takes none."))
        }
        var names: [[UInt8]] = []
        for _ in 0..<times {
            guard let name = await askForName(reply) else {
                return reply.finishWithResult(DemoCatalog.textResult(Array("nobody".utf8)))
            }
            names.append(name)
        }
        let all = Array(names.joined(separator: " and ".utf8))
        reply.finishWithResult(DemoCatalog.textResult(Array("Hello, ".utf8) + all))
    }

    /// The name that the user gives; `nil` if they give none, or the client has left.
    private func askForName(_ reply: DemoReply) async -> [UInt8]? {
        lastQuestion += 1
        let id = lastQuestion
        let question = Question()
        questions[id] = question
        defer { questions[id] = nil }
        reply.whenClientLeaves { [changed] in changed.signal() }
        reply.sendMessage(DemoCatalog.questionRequest(id: id))
        while question.answer == nil, !hasEnded, !reply.hasClientLeft { await changed.wait() }
        guard let answer = question.answer, case .response(_, .result(let result)) = answer.kind,
            let content = answer.document.value("content", of: result),
            let name = answer.document.value("name", of: content)
        else { return nil }
        return answer.document.stringBytes(name)
    }
}
