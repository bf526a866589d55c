/// Finds out, before a session serves its first call, whether its server speaks 2026-07-28 itself.
package protocol SessionInspector: AnyObject {
    /// A session was opened at a server. Returns whether calls may be sent on it.
    func mayServe(_ session: LegacySession, at backend: Backend, _ credentials: Credentials) async -> Bool

    /// Something happened that a server does which was replaced by another: it lost a session, failed at a handshake, or calls
    /// itself otherwise.
    func doubtEra()

    /// A server has refused `initialize` as one of 2026-07-28 may.
    ///
    /// - Parameter error: how it did.
    /// - Returns: what to tell the client.
    func inspectRefusal(_ error: BackendError, by backend: Backend, _ credentials: Credentials) async -> BackendError
}
