package import Translation

/// What a pool tells of its sessions to whoever keeps what they said.
package enum SessionEvent {
    /// A handshake succeeded.
    case opened(SessionKey, ServerInfo)
    /// The server said on a session of this key that something has changed.
    case changed(SessionKey, ChangeNotice)
    /// On a session of this key the server could not be heard for a while: it may have said that anything has changed.
    case unheard(SessionKey)
    /// A session of this key has ended, or is lost: no change is heard of on it any more.
    ///
    /// - Parameter isLast: whether there is no other session of the key.
    case ended(SessionKey, LegacySession, isLast: Bool)
}
