import Crypto
import HTTPTransport
import HTTPWire
import JSONText
import Legacy
import MCP
import Reactor
import Telemetry
import Translation

/// A request of a client while it is served: where its answer goes, what is known of it, and its end.
///
/// ``finish(_:)`` ends it: it answers, counts the request and writes the request's line of the log, once. Each request that was begun
/// is finished, whatever happens to its client, its call or its server. No body, no credential and no session id is kept here.
final class ClientRequest {
    /// How a request ends.
    enum End {
        /// A JSON-RPC response.
        case answered(ModernResponse)
        /// An error of Remora's own. `closes`: the connection ends with it.
        case refused(Refusal, closes: Bool = false)
        /// An answer without a JSON-RPC message.
        case empty(HTTPResponse)
        /// The answer is a stream that was ended without a further message.
        case streamEnded
        /// Another part has sent the answer: the backend's, or the one of another replica or loop.
        case relayed(status: Int, bytes: Int)
        /// The client went away. The connection is closed, so that no client waits for an answer that does not come.
        case abandoned
    }

    let responder: Responder
    private let book: RequestBook
    private let start: Instant
    private var method: Method?
    /// The name of a method that Remora does not know.
    private var vendorMethod: String?
    private var name: String?
    private var principal: String?
    /// What the request was, where it is no translated call.
    private var route: StaticString?
    private var httpMethod: StaticString?
    private var parent: Traceparent?
    /// The id of the JSON-RPC request, as the client spelled it; nil where there is none or it could not be read.
    var rawID: ArraySlice<UInt8>?
    private var status = 0
    /// The code of the JSON-RPC error, if the answer is one.
    private var code: Int?
    private var side: ErrorSide?
    /// What was seen on the backend's side.
    private var detail: String?
    private var failure: BackendFailure?
    private var requestBytes = 0
    private var responseBytes = 0
    /// How many notifications went to the client before the answer.
    var notifications = 0
    /// How often the client was asked during the call so far, and what it is asked now.
    private var rounds = 0
    private var questions = 0
    /// How long the call has waited for its client so far.
    private var parked: Duration = .zero
    /// Whether another replica or loop has answered it.
    private var isForwarded = false
    /// Whether ``finish(_:)`` was called.
    private(set) var isFinished = false
    /// Signalled at its end, where a task waits for that.
    private var waiting: Wakeup?

    /// Begins a request, which counts as one that is being answered from now on.
    ///
    /// - Parameter bytes: of its body.
    init(bytes: Int, by responder: Responder, in book: RequestBook, since start: Instant = .now) {
        self.responder = responder
        self.book = book
        self.start = start
        requestBytes = bytes
        book.tally.counts.requestBegan()
    }

    var connection: HTTPServerConnection { responder.connection }

    // MARK: What is known of it

    /// It is known who sent it.
    func noteCaller(_ caller: Caller) { principal = caller.principal.short }

    func describeMessage(_ request: ModernRequest) {
        method = request.method
        rawID = request.rawID
        parent = request.trace?.parent
        // URIs may hold private data; names of tools and prompts do not.
        if request.method == .callTool || request.method == .getPrompt {
            name = request.document.value("name", of: request.params).flatMap { request.document.string($0) }
        } else if request.method == .vendor {
            vendorMethod = request.methodName
        }
    }

    /// A request that is not translated. Its target is not told: it may hold what a URL must not.
    func describeRoute(_ route: StaticString, _ httpMethod: StaticString) {
        self.route = route
        self.httpMethod = httpMethod
    }

    /// A request that waited for a call during which the client was asked.
    func describeParking(rounds: Int, questions: Int, parked: Duration) {
        self.rounds = rounds
        self.questions = questions
        self.parked = parked
    }

    /// The backend gave no answer that can be worked with. The request is not finished by that.
    ///
    /// - Parameter side: nil where the end says on whose side the cause is.
    func noteFailure(_ error: BackendError, on side: ErrorSide? = nil) {
        detail = error.detail
        failure = BackendFailure(error.kind)
        if let side { self.side = side }
    }

    /// Another replica or loop answers it.
    func noteForwarding() { isForwarded = true }

    /// Another replica or loop has answered it, and what it said is written.
    ///
    /// - Parameters:
    ///   - status: of the HTTP response.
    ///   - bytes: of its body.
    func finishForwarded(status: Int, bytes: Int) {
        noteForwarding()
        finishRequest(.relayed(status: status, bytes: bytes))
    }

    /// What another part has to know of an answer that it has sent.
    var outcome: (status: Int, side: ErrorSide?) { (status, side) }

    deinit {
        if !isFinished { book.wasNotFinished() }
    }

    // MARK: The end

    /// Whether a task waits for its end. Else its connection goes on when it is told so.
    var hasTask: Bool { waiting != nil }

    /// Returns when the request is finished.
    ///
    /// - Parameter begin: begins what finishes it.
    func waitUntilFinished(by begin: () -> Void) async {
        let waiting = Wakeup()
        self.waiting = waiting
        begin()
        while !isFinished { await waiting.wait() }
    }

    /// Ends the request.
    func finishRequest(_ end: End) {
        // A second end would send bytes that the client takes for the answer to its next request.
        guard !isFinished else { return book.finishedTwice() }
        isFinished = true
        switch end {
        case .answered(let answer):
            code = answer.code
            if answer.code != nil { side = .backend }
            status = answer.status
            responder.finishResponse(HTTPResponse(status: status, contentType: "application/json"), body: answer.text)
            responseBytes = responder.bytes
        case .refused(let refusal, let closes):
            status = refusal.status
            code = refusal.code
            side = refusal.side
            responder.finishResponse(
                HTTPResponse(status: status, contentType: "application/json", fields: refusal.fields, closes: closes),
                body: refusal.errorText(id: rawID))
            responseBytes = responder.bytes
        case .empty(let response):
            status = response.status
            responder.finishResponse(response, body: [UInt8]())
        case .streamEnded:
            status = 200
            responder.endStream()
            responseBytes = responder.bytes
        case .relayed(let status, let bytes):
            self.status = status
            responseBytes = bytes
        case .abandoned:
            status = 499
            connection.close()
        }
        recordRequest()
        waiting?.signal()
        if case .refused(let refusal, _) = end, let capability = refusal.undeclared {
            book.noteUndeclared(undeclared: capability)
        }
    }

    /// Counts the request and writes its line.
    private func recordRequest() {
        let nanoseconds = Int(Instant.now.nanoseconds - start.nanoseconds)
        book.tally.counts.requestEnded(
            RequestCounts.Ended(
                method: vendorMethod == nil ? method : nil, nanoseconds: nanoseconds, status: status, code: code,
                side: side, failure: failure, requestBytes: requestBytes, responseBytes: responseBytes,
                notifications: notifications))
        book.log.write(side == nil || side == .client ? .info : .warning, "request") { line in
            if let route { line.field("route", route) }
            if let httpMethod { line.field("http_method", httpMethod) }
            if let vendorMethod {
                line.field("method", vendorMethod)
            } else if let method {
                line.field("method", method.name)
            }
            if let name { line.field("name", name) }
            line.field("status", status)
            if let code { line.field("code", code) }
            if let side { line.field("side", side.name) }
            if let detail { line.field("detail", detail) }
            if let principal { line.field("principal", principal) }
            if let parent {
                line.field("trace_id", parent.traceID)
                line.field("span_id", parent.spanID)
            }
            line.field("request_bytes", requestBytes)
            line.field("response_bytes", responseBytes)
            if notifications > 0 { line.field("notifications", notifications) }
            if rounds > 0 {
                line.field("rounds", rounds)
                if questions > 0 { line.field("questions", questions) }
                line.field("parked_ms", milliseconds: parked)
            }
            if isForwarded { line.field("forwarded", 1) }
            line.field("ms", millisecondsOf: nanoseconds)
        }
    }
}
