package import Crypto
package import Translation

/// An event of a session, for caches of what sessions have said.
package enum SessionEvent {
    /// A handshake succeeded.
    case opened(SessionKey, ServerInfo)
    /// The server said on a session of this key that something has changed.
    case changed(SessionKey, ChangeNotice)
    /// On a session of this key the server could not be heard for a while, or cannot be heard any more: it may have said that anything
    /// has changed.
    case unheard(SessionKey)
    /// A session of this key has ended, or is lost: no change is heard of on it any more.
    ///
    /// - Parameter isLast: whether there is no other session of the key.
    case ended(SessionKey, LegacySession, isLast: Bool)
}

/// Hears what happens to the sessions of a pool. Called on the loop.
package protocol SessionPoolObserver: AnyObject {
    func sessionChanged(_ event: SessionEvent)
}

/// Hears of the ends of sessions of handles. Called on the loop.
package protocol HandleSessionObserver: AnyObject {
    /// - Parameter end: nil where ``SessionPool/endHandleSession(_:)`` was called.
    func handleSessionEnded(_ key: SessionKey, _ end: SessionEnd?)
}

/// Has sessions that can be spared, for calls that wait for one.
package protocol SpareSessions: AnyObject {
    /// A call has to wait for a session: gives one up, if one can be spared.
    ///
    /// - Parameter principal: whose share is used up; `nil`: all sessions are in use.
    func yieldSession(of principal: KeyedHash?)
}
