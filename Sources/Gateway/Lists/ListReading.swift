import JSONText
import Legacy
import MCP
import Reactor
import Translation

/// What came of reading a list. It goes to all who wait for it, each with an id of their own.
enum ListOutcome {
    case list(ListSnapshot)
    /// The server's own error.
    case error(JSONValue, in: JSONDocument)
    case refused(Refusal)
    case failed(BackendError)
}

/// Reads a list of the server, page by page, on a session of its own lease.
final class ListReading {
    /// How much is read.
    enum Extent {
        /// All pages, to put one list together.
        case whole
        /// One page of a list that is too long for that, by the server's cursor.
        case page(cursor: [UInt8])
    }

    /// A list beyond this is forwarded page by page, as the server gives it. 100 pages and 10,000 items are more than a
    /// model or a person can choose from, and a server that never ends its list has to end somewhere; 8 MiB are 800 bytes
    /// for each of so many items.
    private static let maxParts = 100
    private static let maxItems = 10_000
    static let maxSize = 8 << 20
    /// Bytes of the items on one page of Remora's: what a published client takes as one event.
    private static let pageSize = 1 << 20
    /// Bytes of a server's cursor, which goes into ours. It is most often a number or a key.
    private static let maxCursor = 16 << 10
    private static let emptyCursor = Array(#""""#.utf8)

    private let method: Method
    private let key: SessionKey
    private let credentials: Credentials
    private let extent: Extent
    private let sessions: SessionPool
    private let settings: GatewaySettings
    private let end: Instant
    /// Of a call that needs the list, and has a session already.
    private var session: LegacySession?
    private var call: LegacyCall?
    private var cancellation: BackendError?
    /// The reading while it waits for a session. It stops waiting when no request wants the list.
    let waiter: SessionWaiter

    init(
        _ method: Method, _ extent: Extent, key: SessionKey, credentials: Credentials, for session: LegacySession?,
        sessions: SessionPool, settings: GatewaySettings
    ) {
        self.method = method
        self.key = key
        self.credentials = credentials
        self.session = session
        self.extent = extent
        self.sessions = sessions
        self.settings = settings
        end = .now + settings.requestTimeout
        waiter = SessionWaiter(until: end)
    }

    /// No request needs the list any more.
    func cancelReading(_ error: BackendError) {
        guard cancellation == nil else { return }
        cancellation = error
        call?.cancelCall(error)
        waiter.stopWaiting()
    }

    /// Reads it. It is begun once more where any request is that may run twice: no page does anything but list.
    func readList() async -> ListOutcome {
        do throws(BackendError) {
            return try await attemptReading()
        } catch {
            // What ended it says more than what that led to.
            return .failed(cancellation ?? error)
        }
    }

    private func attemptReading() async throws(BackendError) -> ListOutcome {
        var attempts = Attempts()
        while true {
            do throws(BackendError) {
                try checkCancellation()
                return try await readOnLease(&attempts)
            } catch {
                try attempts.noteFailure(error, mayRepeat: true)
            }
        }
    }

    private func readOnLease(_ attempts: inout Attempts) async throws(BackendError) -> ListOutcome {
        // Once only: the second attempt is made because there was something about the session.
        let beside = session.take().flatMap { sessions.extraLease(beside: $0) }
        let lease =
            if let beside { beside } else {
                try await sessions.leaseSession(key, after: attempts.session, credentials: credentials, by: waiter)
            }
        defer { sessions.releaseLease(lease) }
        attempts.session = lease.session
        do throws(BackendError) {
            return try await readPages(from: lease.session)
        } catch {
            if error.kind == .sessionLost { sessions.retireSession(lease) }
            if error.kind == .noAnswer { sessions.checkSession(lease, credentials) }
            throw error
        }
    }

    private func checkCancellation() throws(BackendError) {
        if let cancellation { throw cancellation }
    }

    private func readPages(from session: LegacySession) async throws(BackendError) -> ListOutcome {
        if let capability = method.requiredCapability, !session.handshake.offers(capability) {
            return .refused(.undeclaredCapability(capability, for: method))
        }
        let serverInfo = session.handshake.serverInfo
        let version = session.toolsVersion
        var assembly = ListAssembly(
            of: method, with: ResultContext(serverInfo: serverInfo, caching: settings.caching),
            readsHandles: settings.handles.isOn)
        var cursor: [UInt8]?
        var second: [UInt8]?
        if case .page(let start) = extent { cursor = start }
        repeat {
            let answer = try await readPage(at: cursor, of: session)
            let result: JSONValue
            switch answer.outcome {
            case .result(let value):
                result = value
            // By an empty cursor some servers say that there is no other page, and know none by this name.
            case .error where cursor == ListReading.emptyCursor && assembly.partCount > 0:
                cursor = nil
                continue
            case .error(let error):
                rememberTools(assembly, session, asOf: version)
                return .error(error, in: answer.document)
            }
            cursor = try addPage(result, of: answer, at: cursor, to: &assembly)
            if assembly.partCount == 1 { second = cursor }
        } while cursor != nil && goesOn(after: assembly)
        rememberTools(assembly, session, asOf: version)
        if let offer = settings.handles.offer { try offerHandles(offer, in: &assembly) }
        if cursor == nil, isWhole(assembly) {
            return .list(ListSnapshot(assembly, pageSize: ListReading.pageSize, from: serverInfo))
        }
        return .list(ListSnapshot(firstOf: assembly, continuation: second, from: serverInfo))
    }

    private func offerHandles(_ offer: HandleOffer, in assembly: inout ListAssembly) throws(BackendError) {
        var isFirst = true
        if case .page = extent { isFirst = false }
        do throws(TranslationError) {
            try assembly.offerHandles(offer, listsTools: isFirst)
        } catch {
            throw BackendError(.outcomeUnknown, "the server's list of tools is too long")
        }
    }

    private func goesOn(after assembly: ListAssembly) -> Bool {
        guard case .whole = extent else { return false }
        return assembly.partCount < ListReading.maxParts && assembly.itemCount < ListReading.maxItems
            && assembly.byteCount < ListReading.maxSize
    }

    private func isWhole(_ assembly: ListAssembly) -> Bool {
        guard case .whole = extent else { return false }
        return assembly.itemCount <= ListReading.maxItems && assembly.byteCount <= ListReading.maxSize
    }

    private func readPage(at cursor: [UInt8]?, of session: LegacySession) async throws(BackendError) -> LegacyResponse {
        try checkCancellation()
        let call = session.requestList(method, cursor: cursor, credentials: credentials, until: end)
        self.call = call
        defer { self.call = nil }
        do throws(BackendError) {
            return try await call.waitForResponse()
        } catch {
            if error.kind == .silent || error.kind == .overdue { call.cancelCall(error) }
            throw error.kind == .silent
                ? BackendError(.silent, "the server did not list anything for \(Backend.Limits.handshakeName)") : error
        }
    }

    private func addPage(
        _ result: JSONValue, of answer: LegacyResponse, at cursor: [UInt8]?, to assembly: inout ListAssembly
    ) throws(BackendError) -> [UInt8]? {
        let next: [UInt8]?
        do throws(TranslationError) {
            next = try assembly.addPage(result, in: answer.document, at: cursor)
        } catch {
            throw BackendError(.outcomeUnknown, "the server's answer has a result that is no object")
        }
        if let next, next.count > ListReading.maxCursor {
            throw BackendError(.outcomeUnknown, "the server's cursor is larger than \(ListReading.maxCursor) bytes")
        }
        return next
    }

    /// The session remembers what the tools say of themselves, so that no call of a tool has to list them again. A server
    /// that cannot list has told clients nothing of its tools either.
    private func rememberTools(_ assembly: ListAssembly, _ session: LegacySession, asOf version: Int) {
        guard method == .listTools, case .whole = extent else { return }
        session.rememberTools(assembly.tools, asOf: version)
    }
}
