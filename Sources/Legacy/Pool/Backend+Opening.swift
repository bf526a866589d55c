import MCP
import Translation

/// How sessions are opened over HTTP.
extension Backend: SessionOpener, ChannelOpener {
    /// Tries the newer way first, as clients should that know only a URL (2025-11-25, basic/transports, "Backwards
    /// Compatibility"), and remembers which it was.
    func openTransport(
        _ introduction: Introduction, credentials: Credentials
    ) async throws(BackendError) -> (any SessionTransport, Handshake) {
        switch fixedTransport {
        case .http: return try await openStreamableHTTP(introduction, credentials)
        case .sse: return try await openEventStream(introduction, credentials)
        case nil: return try await openEither(introduction, credentials)
        }
    }

    func joinTransport(_ session: SharedSession, credentials: Credentials) -> (any SessionTransport)? {
        StreamableHTTP(
            to: self, at: session.target, sessionID: session.id, cookies: session.cookies, revision: session.revision,
            credentials: credentials)
    }

    private func openEither(
        _ introduction: Introduction, _ credentials: Credentials
    ) async throws(BackendError) -> (any SessionTransport, Handshake) {
        if isOfOldTransport {
            do throws(BackendError) {
                return try await openEventStream(introduction, credentials)
            } catch {
                guard error.isNoEventStream else { throw error }
                // Replaced by a newer one, perhaps.
                isOfOldTransport = false
            }
        }
        do throws(BackendError) {
            return try await openStreamableHTTP(introduction, credentials)
        } catch {
            // Servers of 2026-07-28 may use the same statuses (streamable-http, "Backward Compatibility").
            guard case .rejected(let status) = error.kind, [400, 404, 405].contains(status), error.eraHint != .modern
            else { throw error }
            return try await openEventStream(introduction, credentials, after: error)
        }
    }

    /// - Parameter refusal: of the newer way; it counts if there is no older one.
    private func openEventStream(
        _ introduction: Introduction, _ credentials: Credentials, after refusal: BackendError
    ) async throws(BackendError) -> (any SessionTransport, Handshake) {
        do throws(BackendError) {
            let opened = try await openEventStream(introduction, credentials)
            isOfOldTransport = true
            return opened
        } catch {
            throw error.isNoEventStream ? refusal : error
        }
    }

    private func openStreamableHTTP(
        _ introduction: Introduction, _ credentials: Credentials
    ) async throws(BackendError) -> (any SessionTransport, Handshake) {
        let transport = StreamableHTTP(to: self, credentials: credentials)
        return (transport, try await transport.openSession(introduction, credentials: credentials))
    }

    /// A stream that ends over a revision that the server does not know is followed by one for the next.
    private func openEventStream(
        _ introduction: Introduction, _ credentials: Credentials
    ) async throws(BackendError) -> (any SessionTransport, Handshake) {
        while true {
            let offered = introduction.revision
            let transport = EventStreamTransport(to: self)
            do throws(BackendError) {
                return (transport, try await transport.openSession(introduction, credentials: credentials))
            } catch {
                guard introduction.revision != offered, !error.isRefusal else { throw error }
            }
        }
    }

    // MARK: Clients of older revisions

    func openChannel(
        _ initialize: [UInt8], id: MessageID, credentials: Credentials, unless abandonment: Abandonment
    ) async throws(BackendError) -> (any ChannelTransport, ClientAgreement) {
        let transport = EventStreamTransport(to: self)
        do throws(BackendError) {
            let agreement = try await transport.openForClient(
                initialize, id: id, credentials: credentials, unless: abandonment)
            isOfOldTransport = true
            return (transport, agreement)
        } catch {
            if error.isNoEventStream { isOfOldTransport = false }
            // Where there is another transport to try, the kind of the error says so. Else another copy may have the stream.
            throw fixedTransport == .sse ? error.beforeDispatch(of: "initialize") : error
        }
    }
}
