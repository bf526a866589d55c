import Crypto
import JSONText
import Legacy
import MCP
import Reactor
import Telemetry
import Translation

/// The server's lists, as far as one loop has read them: each is read once for all calls that may share a session, and
/// kept for `cache.ttl` (2026-07-28, server/utilities/caching, server/utilities/pagination).
final class Lists {
    struct Key: Hashable {
        let session: SessionKey
        let method: Method
    }

    /// A list that is being read, and who waits for it.
    private final class Shared {
        let reading: ListReading
        var waiters: [ObjectIdentifier: ListWaiter] = [:]

        init(_ reading: ListReading) { self.reading = reading }
    }

    /// What is kept on a loop: four lists for each of 64 sessions, and the memory that 32 MiB are. Whatever is beyond is
    /// read again.
    private static let limits = ListCache<Key, ListSnapshot>.Limits(count: 256, size: 32 << 20)
    /// How long a client may take from one page to the next: a person may look at a list for a while.
    private static let cursorLifetime: Duration = .seconds(3600)
    /// How long a list waits for what only other sessions have. Their calls may hold them up.
    private static let unionPatience: Duration = .seconds(2)

    private let sessions: SessionPool
    private var settings: GatewaySettings
    private let seal: Seal
    private let log: Log
    private var cache: ListCache<Key, ListSnapshot>
    private var shared: [ListCache<Key, ListSnapshot>.ReadingID: Shared] = [:]
    /// What the server called itself in the last handshake.
    private var serverInfo: ServerInfo?

    init(sessions: SessionPool, settings: GatewaySettings, seal: Seal, log: Log) {
        self.sessions = sessions
        self.settings = settings
        self.seal = seal
        self.log = log
        cache = ListCache(ttl: .milliseconds(settings.caching.ttlMs), limits: Lists.limits)
    }

    /// Another configuration is in force, with the same sessions.
    func applySettings(_ settings: GatewaySettings) {
        let before = self.settings
        self.settings = settings
        if settings.caching != before.caching || settings.handles.offer != before.handles.offer {
            cache.setLifetime(ttl: .milliseconds(settings.caching.ttlMs))
        }
    }

    /// Lists that are kept, and their bytes.
    var keptCount: Int { cache.count }
    var keptSize: Int { cache.size }

    // MARK: What clients get

    /// Answers a request for a list.
    ///
    /// - Parameters:
    ///   - key: of the sessions that its caller may use.
    ///   - others: of sessions of the caller that may have items which those have not.
    func respondWithList(
        _ request: ModernRequest, of caller: Caller, key: SessionKey, _ waiter: ListWaiter,
        with others: [SessionKey] = []
    ) async -> RequestOutcome {
        do throws(Refusal) {
            try ParameterRules.checkParameters(request)
            let cursor = try requestCursor(in: request, of: caller)
            if case .page(let legacy) = cursor {
                let reading = listReading(request.method, .page(cursor: legacy), key, caller.credentials)
                let outcome = await waiter.runReading(reading)
                return try respondWithList(request, of: caller, with: outcome, freshUntil: freshFromNow, at: nil)
            }
            var (outcome, until) = await sharedList(
                Key(session: key, method: request.method), caller.credentials, waiter)
            if !others.isEmpty, case .list(let snapshot) = outcome {
                outcome = .list(await union(of: snapshot, with: others, request.method, caller.credentials))
            }
            return try respondWithList(request, of: caller, with: outcome, freshUntil: until, at: cursor)
        } catch {
            return .refused(error)
        }
    }

    /// The list with what only other sessions have. A list that is too long to be put together stays as it is.
    private func union(
        of snapshot: ListSnapshot, with others: [SessionKey], _ method: Method, _ credentials: Credentials
    ) async -> ListSnapshot {
        guard snapshot.continuation == nil, let member = method.listedMember, let last = snapshot.pages.last else {
            return snapshot
        }
        let end = Instant.now + Lists.unionPatience
        var union = ListUnion(of: snapshot.pages, member: member, maxSize: ListReading.maxSize)
        for other in others {
            let waiter = ListWaiter(until: end, on: sessions.loop)
            // One that is gone by now has nothing to add.
            if case .list(let list) = await sharedList(Key(session: other, method: method), credentials, waiter).0 {
                union.addItems(of: list.pages)
            }
        }
        return snapshot.withLastPage(union.extendedPage(last))
    }

    private var freshFromNow: Instant { .now + .milliseconds(settings.caching.ttlMs) }

    private func requestCursor(in request: ModernRequest, of caller: Caller) throws(Refusal) -> ListCursor? {
        guard let value = request.document.value("cursor", of: request.params) else { return nil }
        let text = request.document.stringBytes(value) ?? []
        guard let payload = try? seal.openText(text, for: .cursor, caller: caller.identity, at: .now),
            let cursor = ListCursor(payload, for: request.method)
        else { throw .invalidCursor }
        return cursor
    }

    private func respondWithList(
        _ request: ModernRequest, of caller: Caller, with outcome: ListOutcome, freshUntil: Instant,
        at cursor: ListCursor?
    ) throws(Refusal) -> RequestOutcome {
        switch outcome {
        case .failed(let error): return .failed(error)
        case .refused(let refusal): throw refusal
        case .error(let error, let document): return translatedPage(error, in: document, answering: request)
        case .list(let snapshot):
            var index = 0
            if case .item(let digest, let start) = cursor {
                guard let found = snapshot.pageIndex(digest: digest, start: start) else { throw .invalidCursor }
                index = found
            }
            let text = snapshot.pages[index].pageResponse(
                id: request.rawID, ttlMs: max(0, Int((freshUntil - .now).nanoseconds / 1_000_000)),
                nextCursor: snapshot.nextCursor(after: index).map { sealedCursor($0, of: request.method, for: caller) })
            return .answered(ModernResponse(status: 200, text: text, code: nil))
        }
    }

    private func translatedPage(
        _ error: JSONValue, in document: JSONDocument, answering request: ModernRequest
    ) -> RequestOutcome {
        do throws(TranslationError) {
            return .answered(ModernResponse(try ErrorTranslation.modernError(error, in: document, answering: request)))
        } catch {
            return .failed(BackendError(.outcomeUnknown, "the server's answer has an error that is no object"))
        }
    }

    private func sealedCursor(_ cursor: ListCursor, of method: Method, for caller: Caller) -> [UInt8] {
        seal.sealPayload(
            cursor.sealedBytes(for: method), for: .cursor, caller: caller.identity, until: .now + Lists.cursorLifetime)
    }

    // MARK: What calls of tools need

    /// The arguments of the server's tools that clients repeat in headers, for a session that does not know them yet. Requests
    /// for the tools that come meanwhile wait for the same reading.
    func headerParameters(
        for session: LegacySession, key: SessionKey, _ credentials: Credentials, _ waiter: ListWaiter
    ) async throws(BackendError) -> HeaderParameters {
        let version = session.toolsVersion
        switch await sharedList(Key(session: key, method: .listTools), credentials, for: session, waiter).0 {
        case .list(let snapshot):
            // The reading may have been on another session of the key.
            session.rememberTools(snapshot.tools, asOf: version)
            return snapshot.tools.headerParameters
        case .error, .refused:
            return HeaderParameters()
        case .failed(let error):
            throw error.beforeDispatch(of: "tools/list")
        }
    }

    /// What the server's tools say of themselves, in whichever session of the key.
    func toolFacts(
        of key: SessionKey, _ credentials: Credentials, _ waiter: ListWaiter
    ) async throws(BackendError) -> ToolFacts {
        switch await sharedList(Key(session: key, method: .listTools), credentials, waiter).0 {
        case .list(let snapshot): return snapshot.tools
        case .error, .refused: return ToolFacts()
        case .failed(let error): throw error.beforeDispatch(of: "tools/list")
        }
    }

    // MARK: Reading

    /// The list, and until when it is fresh. However many ask at once, it is read once.
    private func sharedList(
        _ key: Key, _ credentials: Credentials, for session: LegacySession? = nil, _ waiter: ListWaiter
    ) async -> (ListOutcome, freshUntil: Instant) {
        let id: ListCache<Key, ListSnapshot>.ReadingID
        switch cache.request(key, at: .now) {
        case .kept(let snapshot, let until): return (.list(snapshot), until)
        case .join(let joined): id = joined
        case .read(let new):
            id = new
            let one = Shared(listReading(key.method, .whole, key.session, credentials, for: session))
            shared[id] = one
            // Its own task: the request that asked first may end while others still wait.
            sessions.loop.spawn { await self.readShared(one, id) }
        }
        guard let one = shared[id] else {
            log.internalError("a list that nobody reads was waited for")
            let own = listReading(key.method, .whole, key.session, credentials, for: session)
            return (await waiter.runReading(own), freshUntil: .now)
        }
        one.waiters[ObjectIdentifier(waiter)] = waiter
        one.reading.waiter.comeBack()
        defer {
            one.waiters[ObjectIdentifier(waiter)] = nil
            if one.waiters.isEmpty { one.reading.waiter.stopWaiting() }
        }
        return await waiter.waitForList()
    }

    private func readShared(_ one: Shared, _ id: ListCache<Key, ListSnapshot>.ReadingID) async {
        let outcome = await one.reading.readList()
        shared[id] = nil
        var until = Instant.now
        if case .list(let snapshot) = outcome {
            // Another session may have found another version of the server since.
            until = cache.finishReading(
                id, with: snapshot, size: snapshot.size,
                isKept: snapshot.serverInfo == serverInfo && snapshot.size <= ListReading.maxSize, at: until)
        } else {
            cache.failReading(id)
        }
        for waiter in one.waiters.values { waiter.deliverList(outcome, freshUntil: until) }
    }

    private func listReading(
        _ method: Method, _ extent: ListReading.Extent, _ key: SessionKey, _ credentials: Credentials,
        for session: LegacySession? = nil
    ) -> ListReading {
        ListReading(
            method, extent, key: key, credentials: credentials, for: session, sessions: sessions, settings: settings)
    }

    // MARK: What makes a list stale

    /// A server told this on a session of this caller, here or at another replica.
    func applyChangeNotice(_ notice: ChangeNotice, by principal: KeyedHash) {
        guard let methods = notice.changedList?.lists, !methods.isEmpty else { return }
        cache.invalidateList { $0.session.principal == principal && methods.contains($0.method) }
    }

    /// Something happened to a session.
    func applySessionEvent(_ event: SessionEvent) {
        switch event {
        case .changed(let key, let notice):
            // A server that keeps an instance for each session tells only the one on which it was asked to change something.
            applyChangeNotice(notice, by: key.principal)
        case .unheard(let key):
            cache.invalidateList { $0.session == key }
        case .opened(_, let serverInfo):
            guard serverInfo != self.serverInfo else { return }
            self.serverInfo = serverInfo
            cache.dropLists { _, snapshot in snapshot.serverInfo != serverInfo }
        case .ended(let key, _, let isLast):
            // Without a session no change would be noticed.
            if isLast { cache.dropLists { kept, _ in kept.session == key } }
        }
    }

    /// Ends what is being read.
    func cancelReadings() {
        for one in shared.values { one.reading.cancelReading(BackendError(.unavailable, "Remora stops")) }
    }
}
