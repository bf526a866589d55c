import Translation

/// A server at which sessions can be opened.
protocol SessionOpener: LegacyServer {
    /// Opens a session, as far as the transport goes: sends `initialize`, and returns what the server agreed to.
    func openTransport(
        _ introduction: Introduction, credentials: Credentials
    ) async throws(BackendError) -> (any SessionTransport, Handshake)

    /// The way to a session that another process opened here; nil where there is none.
    func joinTransport(_ session: SharedSession, credentials: Credentials) -> (any SessionTransport)?
}

extension SessionOpener {
    func joinTransport(_ session: SharedSession, credentials: Credentials) -> (any SessionTransport)? { nil }
}
