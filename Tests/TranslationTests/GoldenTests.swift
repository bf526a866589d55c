import JSONText
import MCP
import Testing

@testable import Translation

/// Every golden file, as `GoldenFile` describes them.
@Suite struct GoldenTests {
    @Test(arguments: GoldenFile.all)
    func isTranslatedToTheByte(file: GoldenFile) throws {
        if file[.legacyRequest] != nil { try expect(.legacyRequest, in: file, legacyRequest(file)) }
        if file[.legacyHeaders] != nil { try expect(.legacyHeaders, in: file, legacyHeaders(file)) }
        if file[.initializeRequest] != nil { try expect(.initializeRequest, in: file, initializeRequest(file)) }
        if file[.legacyNotifications] != nil { try expect(.modernNotifications, in: file, notifications(file)) }
        if file[.legacyTaskRequest] != nil { try expect(.legacyTaskRequest, in: file, legacyTaskRequest(file)) }
        if file[.legacyTask] != nil { return try expectTask(file) }
        if file[.legacyQuestions] != nil { return try expectQuestions(file) }
        if let required = try urlElicitationRequired(file) { return try expectQuestions(required, in: file) }
        guard file[.modernResponse] != nil || file[.refused] != nil else {
            return #expect(
                file[.legacyResponse] == nil && file[.initializeResult] == nil, "an answer that leads to nothing")
        }
        let outcome = try modernResponse(file)
        try expect(outcome.section, in: file, outcome.text)
    }

    @Test func theyAreThere() {
        #expect(GoldenFile.all.count >= 60)
        #expect(Set(GoldenFile.all.map(\.title)).count == GoldenFile.all.count, "two with the same title")
        for file in GoldenFile.all {
            #expect(file.reference.starts(with: "§"), "\(file.name) does not say which row it is")
            #expect(file.names.count >= 2, "\(file.name) compares nothing")
        }
    }

    /// Whatever the texts are: what goes out is a message in which nothing stands twice.
    @Test(arguments: GoldenFile.all)
    func whatGoesOutIsAMessage(file: GoldenFile) throws {
        for section in [GoldenFile.Section.legacyRequest, .legacyTaskRequest, .initializeRequest, .modernResponse] {
            guard let text = file[section] else { continue }
            let message = try Envelope(JSONDocument(Array(text.utf8)))
            guard case .response(_, let outcome) = message.kind else { continue }
            let document = message.document
            switch outcome {
            case .result(let result):
                #expect(!document.hasDuplicateNames(result))
                #expect(document.value("_meta", of: result).map { document.hasDuplicateNames($0) } == false)
            case .error(let error):
                #expect(!document.hasDuplicateNames(error))
            }
        }
    }

    private func expect(_ section: GoldenFile.Section, in file: GoldenFile, _ text: String) throws {
        let expected = file[section] ?? "(no section \(section.rawValue))"
        // As bytes: equal strings of Swift may be spelled differently.
        let isSame = text.utf8.elementsEqual(expected.utf8)
        #expect(
            isSame,
            """
            \(file.name), \(section.rawValue)
            expected: \(expected)
            is:       \(text)
            """)
    }

    // MARK: Steps

    private func request(
        _ file: GoldenFile, _ section: GoldenFile.Section = .modernRequest
    ) throws -> ModernRequest {
        let envelope = try Envelope(JSONDocument(Array(try #require(file[section]).utf8)))
        guard case .request(let id, let name) = envelope.kind else {
            throw GoldenFile.Malformed(what: "the modern request is none")
        }
        let meta = RequestMeta(try #require(envelope.meta), in: envelope.document)
        let method = Method(name, in: envelope.document) ?? Method(ofExtension: name, in: envelope.document)
        return ModernRequest(
            document: envelope.document, id: id, method: try #require(method),
            params: try #require(envelope.params), meta: meta,
            trace: TraceContext(of: meta, in: envelope.document, headers: try modernHeaders(file)))
    }

    private func modernHeaders(_ file: GoldenFile) throws -> TraceContext.Headers {
        var headers = TraceContext.Headers()
        for line in file[.modernHeaders]?.split(separator: "\n") ?? [] {
            let colon = try #require(line.firstIndex(of: ":"))
            let value = Array(line[colon...].dropFirst(2).utf8)[...]
            switch line[..<colon] {
            case "traceparent": headers.traceparent = value
            case "tracestate": headers.tracestate = value
            case "baggage": headers.baggage = value
            default: throw GoldenFile.Malformed(what: "no header of a trace: \(line)")
            }
        }
        return headers
    }

    private func legacyHeaders(_ file: GoldenFile) throws -> String {
        let fields = try request(file).trace?.fields ?? []
        return fields.map { "\($0.name): \(String(decoding: $0.value, as: UTF8.self))" }.joined(separator: "\n")
    }

    private func legacyRequest(_ file: GoldenFile) throws -> String {
        let context = RequestContext(id: 7, revision: try revision(file))
        var request = try request(file)
        if let handles = file[.handles] { request = request.hidingHandle(ownsArgument: handles == "own") }
        return string(RequestTranslation.legacyRequest(request, in: context))
    }

    private func legacyTaskRequest(_ file: GoldenFile) throws -> String {
        let context = RequestContext(id: 7, revision: try revision(file))
        return string(RequestTranslation.legacyTaskRequest(try request(file), in: context, ttl: 3_600_000))
    }

    private func revision(_ file: GoldenFile) throws -> Revision {
        try #require(Revision(rawValue: file[.revision] ?? Revision.newestLegacy.rawValue))
    }

    private func notifications(_ file: GoldenFile) throws -> String {
        var translation = NotificationTranslation(for: try request(file))
        let lines = try #require(file[.legacyNotifications]).split(separator: "\n")
        return try lines.compactMap { line in
            let message = try Envelope(JSONDocument(Array(line.utf8)))
            return translation.modernNotification(message, ServerNotification(message)).map(string)
        }.joined(separator: "\n")
    }

    private func initializeRequest(_ file: GoldenFile) throws -> String {
        let request = try request(file)
        let capabilities = ClientCapabilities.legacyCapabilities(
            request.clientCapabilities, in: request.document, canBeAsked: file[.lane] == "exclusive")
        let text = Handshake.initializeRequest(id: 1, capabilities: capabilities, remoraVersion: "1.2.3")
        return String(decoding: text, as: UTF8.self)
    }

    private func modernResponse(_ file: GoldenFile) throws -> (section: GoldenFile.Section, text: String) {
        do {
            if let text = file[.initializeResult] { return (.modernResponse, try discovered(text, file)) }
            return (.modernResponse, try answered(file))
        } catch let flaw as Handshake.Flaw {
            return (.refused, "\(flaw)")
        } catch let flaw as Envelope.Flaw {
            return (.refused, "\(flaw)")
        } catch let error as TranslationError {
            return (.refused, "\(error)")
        }
    }

    private func discovered(_ text: String, _ file: GoldenFile) throws -> String {
        let document = try JSONDocument(Array(text.utf8))
        let handshake = try Handshake(document.root, in: document)
        return string(
            Discover.discoverResponse(
                to: try request(file), from: handshake, hasPushChannel: file[.pushChannel] == "yes",
                hasTasks: handshake.offersTasks, caching: try caching(file)))
    }

    private func answered(_ file: GoldenFile) throws -> String {
        let answer = try Envelope(JSONDocument(Array(try #require(file[.legacyResponse]).utf8)))
        guard case .response(_, let outcome) = answer.kind else {
            throw GoldenFile.Malformed(what: "the legacy response is none")
        }
        switch outcome {
        case .result(let result):
            let context = ResultContext(serverInfo: ServerInfo(Self.serverInfo), caching: try caching(file))
            if let handles = file[.handles] { return try listed(result, in: answer.document, handles, context, file) }
            return string(
                try ResultTranslation.modernResult(
                    result, in: answer.document, answering: try request(file), with: context))
        case .error(let error):
            let translated = try ErrorTranslation.modernError(error, in: answer.document, answering: try request(file))
            let text = string(translated.text)
            // The code that decides the HTTP status is the one that the client reads, of two.
            let document = try JSONDocument(Array(text.utf8))
            let written = try #require(document.value("error", of: document.root))
            for member in document.members(of: written) where document.name(of: member, equals: "code") {
                #expect(document.integer(member.value) == Int64(translated.code))
            }
            return text
        }
    }

    /// A list of tools with what clients are told of handles.
    private func listed(
        _ result: JSONValue, in document: JSONDocument, _ handles: String, _ context: ResultContext, _ file: GoldenFile
    ) throws -> String {
        var assembly = ListAssembly(of: .listTools, with: context)
        _ = try assembly.addPage(result, in: document, at: nil)
        let offer = HandleOffer(
            isRequired: handles.hasPrefix("required"), idleTime: "30 minutes", maxAge: "24 hours")
        try assembly.offerHandles(offer, listsTools: !handles.hasSuffix("later page"))
        let page = try #require(assembly.makePages(of: 1 << 20).first)
        return string(page.pageResponse(id: try request(file).rawID, ttlMs: 30_000, nextCursor: nil))
    }

    private static let serverInfo = Array(#"{"name":"old","version":"1.0"}"#.utf8)

    private func caching(_ file: GoldenFile) throws -> CachePolicy {
        let words = (file[.cache] ?? "30000 private").split(separator: " ")
        return CachePolicy(
            ttlMs: try #require(Int(words[0])), scope: try #require(CachePolicy.Scope(rawValue: String(words[1]))))
    }

    private func string(_ text: SplicedText) -> String {
        var bytes: [UInt8] = []
        text.append(to: &bytes)
        return String(decoding: bytes, as: UTF8.self)
    }

    // MARK: Tasks

    /// What the client gets, and what its answers are to the server.
    private func expectTask(_ file: GoldenFile) throws {
        let request = try request(file)
        let document = try JSONDocument(Array(try #require(file[.legacyTask]).utf8))
        guard let task = LegacyTask(document.root, in: document) else {
            return try expect(.refused, in: file, "no task")
        }
        var keys = InputKeys()
        let declared = InputCapabilities(request.clientCapabilities, in: request.document)
        let questions: [Question] = try (file[.legacyQuestions]?.split(separator: "\n") ?? []).map { line in
            let message = try Envelope(JSONDocument(Array(line.utf8)))
            #expect(TaskRequest.task(of: message) == task.id)
            let question = try InputRequest(message, declared: declared)
            return (keys.freeKey(for: question), question)
        }
        let serverInfo = ServerInfo(Self.serverInfo)
        let description = TaskDescription(
            task, id: Array("v1.sealed".utf8), now: Array(#""1970-01-01T00:00:01Z""#.utf8), maxTTL: 3_600_000)
        let state = try state(of: task, questions, file)
        switch request.method {
        case .callTool:
            let text = TaskText.created(description, state, from: serverInfo, answering: request)
            try expect(.modernResponse, in: file, string(text))
        case .getTask:
            let text = TaskText.detailed(description, state, from: serverInfo, answering: request)
            try expect(.modernResponse, in: file, string(text))
            try expectNotification(of: description, state, like: string(text))
        default:
            try expect(
                .modernResponse, in: file, string(TaskText.acknowledgment(from: serverInfo, answering: request)))
        }
        guard file[.modernRetry] != nil else { return }
        let responses = try InputResponses(of: self.request(file, .modernRetry))
        let answers = try questions.compactMap { try responses.inputAnswer($0.key, to: $0.request, in: .newestLegacy) }
        let replies = answers.compactMap(\.reply).map { TaskRequest.related($0, to: task.id) }
        try expect(.legacyAnswers, in: file, lines(replies))
    }

    private func state(of task: LegacyTask, _ questions: [Question], _ file: GoldenFile) throws -> TaskState {
        guard task.status.isTerminal else { return TaskState(questions) }
        if task.status == .cancelled { return .ended(.cancelled) }
        let answer = try Envelope(JSONDocument(Array(try #require(file[.legacyResponse]).utf8)))
        guard case .response(_, let outcome) = answer.kind else {
            throw GoldenFile.Malformed(what: "the legacy response is none")
        }
        let context = ResultContext(serverInfo: ServerInfo(Self.serverInfo), caching: try caching(file))
        return .ended(try TaskOutcome(outcome, in: answer.document, saying: task.statusMessage, with: context))
    }

    /// A notification says the same of the task as the answer to `tasks/get`.
    private func expectNotification(of task: TaskDescription, _ state: TaskState, like answer: String) throws {
        let text = string(TaskText.notification(task, state, subscription: Array("9".utf8)))
        let head =
            #"{"jsonrpc":"2.0","method":"notifications/tasks","params":{"#
            + #""_meta":{"io.modelcontextprotocol/subscriptionId":9},"#
        let details = answer.replacing(#"{"jsonrpc":"2.0","id":"c-1","result":{"resultType":"complete","#, with: "")
        let tail = "," + String(decoding: ServerInfo(Self.serverInfo).meta, as: UTF8.self) + "}}"
        #expect(text == head + details.dropLast(tail.count) + "}}")
    }

    // MARK: Questions

    private typealias Question = (key: String, request: InputRequest)

    private func expectQuestions(_ file: GoldenFile) throws {
        let request = try request(file)
        let declared = InputCapabilities(request.clientCapabilities, in: request.document)
        var keys = InputKeys()
        var questions: [Question] = []
        var refusals: [RefusedInput] = []
        for line in try #require(file[.legacyQuestions]).split(separator: "\n") {
            do {
                let question = try InputRequest(Envelope(JSONDocument(Array(line.utf8))), declared: declared)
                questions.append((keys.freeKey(for: question), question))
            } catch let refused as RefusedInput {
                refusals.append(refused)
            }
        }
        try expect(.legacyRefusals, in: file, lines(refusals.map(\.reply)))
        let missing = refusals.reduce(into: InputCapabilities()) { $0.formUnion($1.missing) }
        try expect(.requiredCapabilities, in: file, missing.isEmpty ? nil : missing.requiredCapabilities)
        try expectAsked(questions, in: file)
    }

    private func expectQuestions(_ required: URLElicitationRequired, in file: GoldenFile) throws {
        switch required {
        case .missing(let missing):
            #expect(file[.modernResponse] == nil)
            try expect(.requiredCapabilities, in: file, missing.requiredCapabilities)
        case .ask(let requests):
            var keys = InputKeys()
            try expectAsked(requests.map { (keys.freeKey(for: $0), $0) }, in: file)
        }
    }

    /// Asks the client, and passes its answers on.
    private func expectAsked(_ questions: [Question], in file: GoldenFile) throws {
        let asked =
            try questions.isEmpty
            ? nil
            : MultiRoundTrip.inputRequired(
                questions, requestState: Array("v1.sealed".utf8), serverInfo: Self.serverInfo,
                answering: request(file))
        try expect(.modernResponse, in: file, asked)
        if file[.leftovers] != nil {
            try expect(.leftovers, in: file, lines(questions.compactMap(\.request.leftover)))
        }
        guard file[.modernRetry] != nil else { return }
        do {
            let responses = try InputResponses(of: request(file, .modernRetry))
            let revision = try revision(file)
            let answers = try questions.compactMap { try responses.inputAnswer($0.key, to: $0.request, in: revision) }
            try expect(.legacyAnswers, in: file, lines(answers.compactMap(\.reply)))
            try expect(.wrongAnswer, in: file, nil)
        } catch let flaw as InputFlaw {
            try expect(.legacyAnswers, in: file, nil)
            try expect(.wrongAnswer, in: file, Array(flaw.advice.utf8))
        }
    }

    /// - Parameter text: `nil` if there must be no section of that name.
    private func expect(_ section: GoldenFile.Section, in file: GoldenFile, _ text: [UInt8]?) throws {
        guard let text else { return #expect(file[section] == nil, "\(file.name) has \(section.rawValue)") }
        try expect(section, in: file, String(decoding: text, as: UTF8.self))
    }

    private func lines(_ texts: [[UInt8]]) -> [UInt8]? {
        texts.isEmpty ? nil : Array(texts.joined(separator: Array("\n".utf8)))
    }

    /// What an error of the server's asks for, if it is one that asks.
    private func urlElicitationRequired(_ file: GoldenFile) throws -> URLElicitationRequired? {
        guard let text = file[.legacyResponse],
            let answer = try? Envelope(JSONDocument(Array(text.utf8))),
            case .response(_, .error(let error)) = answer.kind
        else { return nil }
        let request = try request(file)
        guard request.method.supportsInputRequired else { return nil }
        return URLElicitationRequired(
            error, in: answer.document,
            declared: InputCapabilities(request.clientCapabilities, in: request.document))
    }
}
