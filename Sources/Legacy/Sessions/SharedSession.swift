package import MCP

/// What a replica has to know of a session over HTTP that another one has opened, to send calls on it. Ids and cookies are secrets.
package struct SharedSession: Equatable, Sendable {
    /// ``LegacyServer/name`` of the copy of the server that has it.
    package let server: [UInt8]
    /// Path and query of its requests.
    package let target: [UInt8]
    /// The server's name of it: visible ASCII, not empty.
    package let id: [UInt8]
    /// As ``LegacySession/cookieField``.
    package let cookies: [UInt8]
    package let revision: Revision
    /// The `result` of `initialize`, as the server has written it.
    package let handshake: [UInt8]
    /// Whether the server has a GET stream, as far as the one who opened the session has found out.
    package let hasStream: Bool

    package init(
        server: [UInt8], target: [UInt8], id: [UInt8], cookies: [UInt8], revision: Revision, handshake: [UInt8],
        hasStream: Bool
    ) {
        self.server = server
        self.target = target
        self.id = id
        self.cookies = cookies
        self.revision = revision
        self.handshake = handshake
        self.hasStream = hasStream
    }

    /// Whether it is the same session at the server, whatever is said of it.
    package func isSameSession(as other: SharedSession) -> Bool { id == other.id && server == other.server }
}

/// Which session each pool key has at all replicas. Called on the loop.
package protocol SessionDirectory: AnyObject {
    /// The place of the session of a key, kept for this caller until ``SharedPlace/retirePlace(isBroken:)``.
    ///
    /// - Returns: nil: this loop has a place of this key already, or its caller is not known by the same name elsewhere. The session is
    ///   then of this loop alone.
    func takePlace(of key: SessionKey) -> (any SharedPlace)?

    /// The process is about to stop: sessions that are left from now on may go on at other replicas.
    func processStops()
}

/// The place of one session among what replicas have in common. Nothing here fails: where the others cannot be asked, a session is of
/// this process alone, until they can. Called on the loop.
package protocol SharedPlace: AnyObject {
    /// The session that is there; nil: none, none that is of use, or the place cannot be looked at.
    func findSession() async -> SharedSession?

    /// Puts a session there, unless another replica was faster.
    ///
    /// - Returns: the one that is there afterwards; nil where that cannot be found out.
    func offerSession(_ session: SharedSession) async -> SharedSession?

    /// This process uses the session from now on.
    ///
    /// - Parameters:
    ///   - session: which ``findSession()`` has found, or which was offered.
    ///   - listens: whether the user listens to the GET stream at this moment.
    func enterPlace(_ user: any SharedSessionUser, _ session: SharedSession, listens: Bool)

    /// No further call uses the session here. Another may be given the place.
    ///
    /// - Parameter isBroken: it is of no use to others either, and is to be replaced by the next.
    func retirePlace(isBroken: Bool)

    /// The session is not used here any more.
    ///
    /// - Returns: whether it is to be ended on the server: no replica uses it, as far as is known.
    func leavePlace() async -> Bool
}

/// A session of this process that others share, as its place tells it what they do. Called on the loop.
package protocol SharedSessionUser: AnyObject {
    /// Whether this process is the one that listens to the GET stream.
    func listenToStream(_ listens: Bool)
    /// Another one listens from now on, and what was said meanwhile is lost.
    func streamHasMoved()
    /// Another session has the place.
    func sessionWasReplaced()
}
