import Crypto
import Foundation
import HTTPTransport
import HTTPWire
import JSONText
import Legacy
import MCP
import Telemetry
import TestSupport
import Testing
import Translation

@testable import Gateway

/// What Remora itself answers with.
@Suite struct RefusalTests {
    private static let flaws: [Envelope.Flaw] = [
        .notAnObject, .batch, .duplicateMember, .wrongVersion, .invalidID, .invalidMethod, .paramsNotAnObject,
        .neitherRequestNorResponse,
    ]

    private static let backendErrors: [(BackendError.Kind, status: Int, reason: String, dispatched: Bool)] = [
        (.unavailable, 503, "backend_unavailable", false), (.busy, 503, "busy", false),
        (.sessionLost, 503, "session_lost", false),
        (
            .unauthorized(status: 401, challenges: [Array("Bearer".utf8), Array("Basic".utf8)]), 401, "unauthorized",
            false
        ),
        (.unauthorized(status: 403, challenges: []), 403, "unauthorized", false),
        (.rejected(status: 400), 200, "backend_rejected", true), (.silent, 200, "idle_timeout", true),
        (.overdue, 200, "request_timeout", true), (.outcomeUnknown, 200, "outcome_unknown", true),
    ]

    private static let ofQuestions: [Refusal] = [
        .missingCapabilities([.form, .url, .samplingTools, .roots], hasRun: false),
        .missingCapabilities(.form, hasRun: true), .invalidRequestState, .interactionLost,
        .tooManyParked(hasRun: true), .wrongAnswer(ParkedCallStage.flaw),
    ]

    /// Each refusal that there is, with hostile text where it repeats any.
    private static let all: [Refusal] =
        HTTPDecodeError.Reason.allCases.map { .malformedHTTP(.malformed(HTTPDecodeError($0))) }
        + [
            .malformedHTTP(.bodyTooLarge), .malformedHTTP(.timedOut), .originNotAllowed, .hostNotAllowed,
            .wrongPath("/mcp\"\\"),
        ]
        + [.wrongMethod(true), .wrongMethod(false), .wrongContentType, .notJSON(JSONTextError(.tooDeep, at: 7))]
        + [.response, .noVersion, .noMetadata, .documentOnly, .formOnly]
        + flaws.map { .notAMessage($0) }
        + [.headerMismatch("Mcp-Name is missing. Send it."), .unsupportedVersion("\"},\u{0}\u{1F}\\é")]
        + [.malformed("params._meta needs \"x\"."), .invalidParams("\"name\" must be a string.")]
        + [.methodNotFound("\"\u{0}\\", "This server has no tools.")]
        + ofQuestions
        + backendErrors.compactMap { Refusal(BackendError($0.0, "seen \"\u{7}\\ here")) }

    @Test(arguments: all, [nil, "7", #""\u0041""#])
    func isAJSONRPCError(refusal: Refusal, id: String?) throws {
        let text = refusal.errorText(id: id.map { Array($0.utf8)[...] })
        let envelope = try Envelope(JSONDocument(text))
        guard case .response(let found, .error(let error)) = envelope.kind else {
            Issue.record("no error")
            return
        }
        let document = envelope.document
        #expect(found.map { String(decoding: document.raw($0), as: UTF8.self) } == id)
        #expect(document.value("code", of: error).flatMap { document.integer($0) } == Int64(refusal.code))
        #expect(document.value("message", of: error).flatMap { document.string($0) } == refusal.message)
        if let data = refusal.data {
            #expect(document.value("data", of: error).map { Array(document.raw($0)) } == data)
        }
        #expect(!document.hasDuplicateNames(error))
    }

    /// Who reads it may be a model: it says what to do next.
    @Test(arguments: all)
    func saysWhatToDo(refusal: Refusal) {
        let hints = [
            "Send", "send", "POST", "Add", "add", "Mend", "Try", "check", "raise", "Answer", "Authorize", "needs",
            "must be", "says", "Declare",
        ]
        #expect(hints.contains { refusal.message.contains($0) }, "\(refusal.message)")
        #expect(refusal.message.first?.isUppercase == true && refusal.message.last == ".")
        #expect(!refusal.message.contains(".."))
    }

    @Test(arguments: all)
    func statusAndCodeFit(refusal: Refusal) {
        #expect([200, 400, 401, 403, 404, 405, 408, 413, 414, 415, 421, 431, 501, 503, 505].contains(refusal.status))
        // A client must not take Remora's refusals for the specification's own.
        #expect(!(-32099 ... -32023).contains(refusal.code) && refusal.code != -32002)
        if refusal.status == 405 { #expect(refusal.fields.contains { "\($0.name)" == "allow" }) }
        if refusal.status == 503 { #expect(refusal.side != .client) }
    }

    @Test(arguments: backendErrors)
    func whatTheBackendDidIsTold(row: (kind: BackendError.Kind, status: Int, reason: String, dispatched: Bool)) throws {
        let refusal = try #require(Refusal(BackendError(row.kind, "detail")))
        #expect(refusal.status == row.status)
        #expect(refusal.code == -32603)
        let data = refusal.data.map { String(decoding: $0, as: UTF8.self) }
        #expect(data == #"{"reason":"\#(row.reason)","dispatched":\#(row.dispatched)}"#)
        let fields = refusal.fields.map { "\($0.name): \(String(decoding: $0.value, as: UTF8.self))" }
        switch row.kind {
        case .unauthorized(_, let challenges):
            #expect(fields == challenges.map { "www-authenticate: \(String(decoding: $0, as: UTF8.self))" })
        case .unavailable, .busy:
            #expect(fields.count == 1 && fields[0].hasPrefix("retry-after: "))
        default:
            #expect(fields.isEmpty)
        }
    }

    @Test func whereNobodyIsLeftNothingIsAnswered() {
        #expect(Refusal(BackendError(.cancelled, "gone")) == nil)
    }

    /// What a client sent is repeated in part only.
    @Test(arguments: [String(repeating: "x", count: 10_000), "x" + String(repeating: "\u{301}", count: 10_000)])
    func aLongMethodIsCut(method: String) {
        #expect(Refusal.methodNotFound(method, "It is unknown.").errorText(id: nil).count < 1000)
    }

    // MARK: Secrets

    private static let secret = "s3cr3t-t0ken"

    @Test(arguments: AdmissionTests.rows)
    func noRefusalHoldsACredential(row: AdmissionTests.Row) throws {
        let knock = Knock().changed(row.change).changed {
            $0.moreFields += "Authorization: Bearer \(Self.secret)\r\nCookie: \(Self.secret)\r\n"
        }
        guard case .refused(let refusal, let id) = try knock.admitted() else { return }
        let text = String(decoding: refusal.errorText(id: id.map { $0[...] }), as: UTF8.self)
        #expect(!text.contains(Self.secret))
    }

    @Test func noLogLineHoldsACredentialOrAURI() async throws {
        for format in [LogLine.Format.json, .text] {
            let pipe = Pipe()
            let log = Log(level: .debug, format: format, descriptor: pipe.fileHandleForWriting.fileDescriptor)
            for (method, parameter) in [("tools/call", "name"), ("prompts/get", "name"), ("resources/read", "uri")] {
                let value = parameter == "uri" ? "file:///\(Self.secret)" : "add"
                let knock = Knock().changed {
                    $0.method = method
                    $0.methodHeader = method
                    $0.nameHeader = value
                    $0.params = #""\#(parameter)":"\#(value)","arguments":{"k":"\#(Self.secret)"},"#
                    $0.moreFields = "Authorization: Bearer \(Self.secret)\r\n"
                }
                try await withLoop { loop in
                    guard case .request(let request) = try knock.admitted() else { throw NoHead() }
                    let rules = CallerRules(CallerFields(isolateBy: ["authorization"]), key: .init())
                    let front = try Front(on: loop, in: RequestBook(tally: RequestTally(), log: log))
                    let (client, responder) = try await front.connect()
                    client.write(Front.request)
                    guard let served = await front.next(on: responder) else { throw NoHead() }
                    served.noteCaller(rules.identifyCaller(of: try knock.head, subject: nil))
                    served.describeMessage(request)
                    served.noteFailure(BackendError(.noAnswer, "line\nbreak"))
                    served.finishRequest(.abandoned)
                }
            }
            log.flushLines(within: .seconds(30))
            let text = String(decoding: pipe.fileHandleForReading.availableData, as: UTF8.self)
            #expect(text.contains("principal") && text.contains("resources/read"))
            #expect(!text.contains(Self.secret))
            #expect(text.split(separator: "\n").count == 3)
        }
    }
}
