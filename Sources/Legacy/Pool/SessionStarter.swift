import MCP
import Reactor
import Translation

/// Opens sessions, and channels of older clients, on the copies of a server: on the copy that has the fewest, and on another where that
/// one gives none.
final class SessionStarter {
    /// Those of the configuration that is in force. An opening stays with those that it began with.
    var backends: Backends
    /// Looks at each new session over HTTP before it serves a call.
    weak var inspector: (any SessionInspector)?
    /// Where replicas have their sessions in common; nil: each loop has its own.
    weak var directory: (any SessionDirectory)?
    /// As the server called itself last.
    private(set) var serverInfo: ServerInfo?
    private let ends: SessionEnds

    init(_ backends: Backends, ends: SessionEnds) {
        self.backends = backends
        self.ends = ends
    }

    /// Opens a session, or joins the one that other replicas have.
    ///
    /// - Parameter abandonment: ends the opening.
    func openSession(
        for key: SessionKey, credentials: Credentials, sending: SendingBudget.Share, unless abandonment: Abandonment
    ) async throws(BackendError) -> LegacySession {
        guard let place = sharedPlace(of: key) else {
            return try await openOwnSession(for: key, credentials, sending, unless: abandonment)
        }
        if let found = await place.findSession() {
            if let joined = await joinSession(found, at: place, for: key, credentials, sending) { return joined }
            place.retirePlace(isBroken: false)
            return try await openOwnSession(for: key, credentials, sending, unless: abandonment)
        }
        let own: LegacySession
        do throws(BackendError) {
            own = try await openOwnSession(for: key, credentials, sending, unless: abandonment)
        } catch {
            place.retirePlace(isBroken: false)
            throw error
        }
        return await shareSession(own, at: place, for: key, credentials, sending)
    }

    /// A session that was opened, or that of another replica that was faster.
    private func shareSession(
        _ own: LegacySession, at place: any SharedPlace, for key: SessionKey, _ credentials: Credentials,
        _ sending: SendingBudget.Share
    ) async -> LegacySession {
        guard let form = await own.sharedForm else {
            place.retirePlace(isBroken: false)
            return own
        }
        guard let there = await place.offerSession(form), !there.isSameSession(as: form) else {
            // Where it is not known which is there, it is offered again.
            own.enterPlace(place, as: form, listens: true)
            return own
        }
        guard let joined = await joinSession(there, at: place, for: key, credentials, sending) else {
            place.retirePlace(isBroken: false)
            return own
        }
        ends.endSession(own)
        return joined
    }

    /// Where other replicas find the session of a key; nil where it is of this loop alone.
    private func sharedPlace(of key: SessionKey) -> (any SharedPlace)? {
        // What a server asks its client outside of any call's answer has to come to the replica that has the client.
        guard let directory, !key.isOfHandle, !backends.pinsConnections, !backends.startsProcesses,
            !SessionStarter.mayBeAsked(key)
        else { return nil }
        return directory.takePlace(of: key)
    }

    /// Whether the server may ask a client of this key anything that is not answered for it.
    private static func mayBeAsked(_ key: SessionKey) -> Bool {
        guard var declared = InputCapabilities(key.capabilities) else { return true }
        if !key.roots.isEmpty { declared.remove(.roots) }
        return !declared.isEmpty
    }

    /// The session of another replica; nil where it cannot be used here.
    private func joinSession(
        _ shared: SharedSession, at place: any SharedPlace, for key: SessionKey, _ credentials: Credentials,
        _ sending: SendingBudget.Share
    ) async -> LegacySession? {
        // A replica with another configuration may have copies of the server that this one has not.
        guard let server = backends.servers.first(where: { $0.name == shared.server }),
            let transport = server.joinTransport(shared, credentials: credentials),
            let session = LegacySession.joinSession(
                shared, for: key, over: transport, to: server, credentials: credentials, sending: sending)
        else { return nil }
        session.enterPlace(place, as: shared, listens: false)
        return try? await inspectedSession(session, at: server, credentials)
    }

    private func openOwnSession(
        for key: SessionKey, _ credentials: Credentials, _ sending: SendingBudget.Share, unless abandonment: Abandonment
    ) async throws(BackendError) -> LegacySession {
        try await openSomewhere(credentials) { (server) async throws(BackendError) -> LegacySession in
            try await inspectedSession(
                LegacySession.openSession(
                    on: server, capabilities: key.capabilities, roots: key.roots, credentials: credentials,
                    sending: sending, unless: abandonment), at: server, credentials)
        }
    }

    /// A channel of an older client: where it is, and what the server has answered.
    struct OpenedChannel {
        let server: LegacyServer
        let transport: any ChannelTransport
        let agreement: ClientAgreement
    }

    /// Opens a channel.
    ///
    /// - Parameters:
    ///   - initialize: the client's.
    ///   - id: of that request.
    ///   - abandonment: ends the opening.
    func openChannel(
        _ initialize: [UInt8], id: MessageID, credentials: Credentials, unless abandonment: Abandonment
    ) async throws(BackendError) -> OpenedChannel {
        try await openSomewhere(credentials) { (server) async throws(BackendError) -> OpenedChannel in
            let (transport, agreement) = try await server.openChannel(
                initialize, id: id, credentials: credentials, unless: abandonment)
            return OpenedChannel(server: server, transport: transport, agreement: agreement)
        }
    }

    /// Opens on the copy that has the fewest. Where that one gives nothing, on another: no call was sent.
    private func openSomewhere<Opened>(
        _ credentials: Credentials, _ open: (any PooledServer) async throws(BackendError) -> Opened
    ) async throws(BackendError) -> Opened {
        // A copy that is aside may be back, and to try it costs nothing as long as no call has waited.
        let backends = backends
        let patience = backends.loop.now + backends.limits.connect
        var tried: Set<BackendChoice.Index> = []
        while true {
            guard let index = backends.enterCopy(except: tried) else {
                throw BackendError(.unavailable, "no copy of the server gives a session")
            }
            do throws(BackendError) {
                let opened = try await open(backends.servers[index])
                backends.noteSession(index)
                backends.leaveCopy(index)
                return opened
            } catch {
                backends.leaveCopy(index)
                let error = await inspectedSession(error, by: backends.all[index], credentials)
                guard error.kind == .unavailable else { throw error }
                if !error.isRefusal { backends.noteFailure(index, error.detail) }
                tried.insert(index)
                if tried.count == backends.all.count { throw error }
                if backends.loop.now > patience, !backends.all[index].hasAlternative() { throw error }
            }
        }
    }

    /// A session that was opened, where it is to serve calls.
    private func inspectedSession(
        _ session: LegacySession, at server: LegacyServer, _ credentials: Credentials
    ) async throws(BackendError) -> LegacySession {
        if let serverInfo, serverInfo != session.handshake.serverInfo { inspector?.doubtEra() }
        serverInfo = session.handshake.serverInfo
        guard let inspector, let backend = server as? Backend else { return session }
        if await inspector.mayServe(session, at: backend, credentials) { return session }
        ends.endSession(session)
        throw BackendError(.unavailable, "the server speaks 2026-07-28 itself", isRefusal: true)
    }

    private func inspectedSession(
        _ error: BackendError, by server: LegacyServer, _ credentials: Credentials
    ) async -> BackendError {
        guard error.eraHint != .none, let inspector, let backend = server as? Backend else { return error }
        return await inspector.inspectRefusal(error, by: backend, credentials)
    }
}
