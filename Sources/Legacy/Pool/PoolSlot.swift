import Reactor

/// A place in the pool, from the moment at which a session is to be opened there until that session has been given to its end.
final class PoolSlot {
    enum Content {
        case opening(SessionOpening)
        case session(LegacySession)
        /// The channel of an older client, which has it for itself.
        case channel
        /// A session that is being ended because the process stops.
        case closed
    }

    let key: SessionKey
    var content: Content
    /// The copy of the server that has it; nil before it is open, and where the configuration has that copy no more.
    var copy: BackendChoice.Index?
    /// When it was opened; nil before that.
    var openedAt: Instant?
    /// Whether the end of the session was told. One that is retired ends once, though it is closed later.
    var isEndTold = false

    init(for key: SessionKey, _ opening: SessionOpening) {
        self.key = key
        content = .opening(opening)
    }

    var opening: SessionOpening? { if case .opening(let opening) = content { opening } else { nil } }

    var session: LegacySession? { if case .session(let session) = content { session } else { nil } }
}
