package import MCP

/// What a pool tells of its sessions to whoever keeps what they said.
package enum SessionEvent {
    /// A handshake succeeded.
    ///
    /// - Parameter serverInfo: as the server spelled it.
    case opened(SessionKey, serverInfo: [UInt8])
    /// The server said on a session of this key that a list has changed.
    case listChanged(SessionKey, ServerCapability)
    /// A session of this key has ended, or is lost: no change is heard of on it any more.
    case ended(SessionKey)
}
