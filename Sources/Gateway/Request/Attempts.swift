import Legacy

/// What has become of a request that is sent once more where that can do no harm: when its session turns out to be lost,
/// because then no handler ran, and when no response came to what may run twice. Each is mended once.
struct Attempts {
    /// The session of the last attempt: what is known of its loss decides about the next.
    var session: LegacySession?
    private var hasLostSession = false
    /// How the attempt ended after which the request may have run.
    private(set) var doubt: BackendError?

    /// A lost session may be mended once more. That the request may have run stays true, and it is not repeated again.
    mutating func beginAnew() {
        session = nil
        hasLostSession = false
    }

    /// An attempt has failed. Returns when another is to be made.
    ///
    /// - Parameter mayRepeat: whether the request may run twice.
    /// - Throws: what to tell the client.
    mutating func noteFailure(_ error: BackendError, mayRepeat: Bool) throws(BackendError) {
        if error.kind == .sessionLost, !hasLostSession {
            hasLostSession = true
        } else if error.kind == .noAnswer, doubt == nil, mayRepeat {
            doubt = error
        } else {
            throw errorForClient(error)
        }
    }

    /// What to tell the client at the end: that the request may have run is not unsaid by a later error.
    func errorForClient(_ error: BackendError) -> BackendError { error.isBeforeDispatch ? doubt ?? error : error }
}
