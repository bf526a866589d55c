import Configuration

/// Which servers of a configuration are those of the one before, so that their sessions go on.
///
/// A server is the same where everything in its section is, and what is in the files that this names. One more key cannot be
/// forgotten here so.
struct KeptServers {
    /// For each of `backends` its place in the configuration before; nil for one that is not the same.
    let places: [Int?]

    /// Nil where no session may go on: none of the servers is the same, or callers are told apart in another way, so that a session
    /// could come to another caller.
    init?(of old: Configuration, in new: Configuration) {
        guard old.sessions.isolateBy == new.sessions.isolateBy,
            old.sessions.isolatesByCertificate == new.sessions.isolatesByCertificate,
            // Other authorities may give the same name to another client.
            !new.sessions.isolatesByCertificate || old.listen.tls == new.listen.tls
        else { return nil }
        places = new.backends.map { backend in old.backends.firstIndex(of: backend) }
        if places.allSatisfy({ $0 == nil }) { return nil }
    }
}
