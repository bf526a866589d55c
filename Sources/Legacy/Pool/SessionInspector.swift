/// Finds out, before a session serves its first call, whether its server speaks 2026-07-28 itself.
package protocol SessionInspector: AnyObject {
    /// A session was opened at a server. Returns whether calls may be sent on it.
    func mayServe(_ session: LegacySession, at backend: Backend, _ credentials: Credentials) async -> Bool

    /// A server has refused `initialize` as one of 2026-07-28 may.
    ///
    /// - Parameter error: how it did.
    /// - Returns: what to tell the client.
    func refused(_ error: BackendError, by backend: Backend, _ credentials: Credentials) async -> BackendError
}
