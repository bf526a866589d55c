import Legacy
import MCP
import Reactor
import JSONText
import Crypto
import Telemetry
import Translation

/// What the log says of one request and what is counted of it, gathered while it is served. No body, no credential, no
/// session id.
final class RequestRecord {
    private let tally: RequestTally
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
    var status = 0
    /// The code of the JSON-RPC error, if the answer is one.
    var code: Int?
    var side: Refusal.Side?
    /// What was seen on the backend's side.
    var detail: String?
    private var failure: BackendFailure?
    var requestBytes = 0
    var responseBytes = 0
    /// How many went to the client before the answer.
    var notifications = 0
    /// How often the client was asked during the call so far, and what it is asked now.
    private var rounds = 0
    private var questions = 0
    /// How long the call has waited for its client so far.
    private var parked: Duration = .zero
    /// Whether another replica or loop has answered it.
    private var isForwarded = false

    /// - Parameter tally: where the request is counted, now as one that is being answered.
    init(in tally: RequestTally, since start: Instant = .now) {
        self.tally = tally
        self.start = start
        tally.counts.began()
    }

    func describe(_ request: ModernRequest, from caller: Caller) {
        method = request.method
        principal = caller.principal.short
        parent = request.trace?.parent
        // URIs may hold what is nobody else's business; names of tools and prompts do not.
        if request.method == .callTool || request.method == .getPrompt {
            name = request.document.value("name", of: request.params).flatMap { request.document.string($0) }
        } else if request.method == .vendor {
            vendorMethod = request.methodName
        }
    }

    /// A request that is not translated. Its target is not told: it may hold what a URL must not.
    func describe(_ route: StaticString, _ httpMethod: StaticString, from caller: Caller?) {
        self.route = route
        self.httpMethod = httpMethod
        principal = caller?.principal.short
    }

    /// A request that waited for a call during which the client was asked.
    func describe(rounds: Int, questions: Int, parked: Duration) {
        self.rounds = rounds
        self.questions = questions
        self.parked = parked
    }

    /// The owner of its call has answered it.
    func forwarded(status: Int, bytes: Int, to log: Log) {
        isForwarded = true
        self.status = status
        responseBytes = bytes
        write(to: log)
    }

    /// The backend gave no answer that can be worked with.
    func failed(_ error: BackendError) {
        detail = error.detail
        failure = BackendFailure(error.kind)
    }

    /// The request is answered: counts it and writes its line. To be called once.
    func write(to log: Log) {
        let end = Instant.now
        tally.counts.ended(
            RequestCounts.Ended(
                method: method == .vendor ? nil : method, nanoseconds: Int(end.nanoseconds - start.nanoseconds),
                status: status, code: code,
                side: side,
                failure: failure, requestBytes: requestBytes, responseBytes: responseBytes,
                notifications: notifications))
        log.write(side == nil || side == .client ? .info : .warning, "request") { line in
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
            line.field("ms", milliseconds: end - start)
        }
    }
}
