package import Reactor

/// Which sessions there are, who uses them, and which may go: the decisions of the pool, without I/O and clock.
///
/// A key has at most one session that new calls may use. Sessions that are retired (lost, or cancelled to death) live
/// on here until the last call that uses them has ended.
package struct SessionTable<Key: Hashable> {
    /// A session's number in this table.
    package typealias ID = Int

    package enum Decision: Equatable {
        /// Use this session.
        case use(ID)
        /// It is being opened: wait for `opened` or `failed`.
        case join(ID)
        /// Open it; first close the one that was evicted to make room, if any.
        case open(ID, evicted: ID?)
        /// All sessions are in use.
        case full
    }

    private enum State {
        /// Leads to `ready` or to the record's end.
        case opening
        /// Leads to `retired`, or to the record's end by eviction and expiry.
        case ready
        /// Not for new calls. Leads to the record's end with its last use.
        case retired
    }

    private struct Record {
        let key: Key
        var state: State
        /// Calls that hold a lease on it, or will when it has opened.
        var uses: Int
        var lastUsed: Instant

        var isIdle: Bool { state == .ready && uses == 0 }
    }

    private let maxSessions: Int
    private let idleTimeout: Duration
    private var records: [ID: Record] = [:]
    private var current: [Key: ID] = [:]
    private var lastID = 0
    /// What ``leaseReady(_:at:)`` found last, which it nearly always finds next: most loops serve one key. It may be
    /// outdated.
    private var latest: (key: Key, id: ID)?

    /// - Parameters:
    ///   - maxSessions: how many sessions may exist, those that are being opened included.
    ///   - idleTimeout: how long a session may be without a call before it is closed.
    package init(maxSessions: Int, idleTimeout: Duration) {
        self.maxSessions = maxSessions
        self.idleTimeout = idleTimeout
    }

    package var count: Int { records.count }

    /// ``lease(_:at:)`` where a session is ready; nil, and nothing has changed, where none is.
    package mutating func leaseReady(_ key: Key, at now: Instant) -> ID? {
        if let latest, latest.key == key, use(latest.id, at: now) { return latest.id }
        guard let id = current[key], use(id, at: now) else { return nil }
        latest = (key, id)
        return id
    }

    /// One more call on a session, if it is ready.
    private mutating func use(_ id: ID, at now: Instant) -> Bool {
        guard let place = records.index(forKey: id), records.values[place].state == .ready else { return false }
        records.values[place].uses += 1
        records.values[place].lastUsed = now
        return true
    }

    /// A call wants a session for `key`. Except after `full`, each is followed by one `release`, or by `failed` for all
    /// that wait.
    package mutating func lease(_ key: Key, at now: Instant) -> Decision {
        if let id = current[key], var record = records[id] {
            record.uses += 1
            record.lastUsed = now
            records[id] = record
            return record.state == .opening ? .join(id) : .use(id)
        }
        var evicted: ID?
        if records.count >= maxSessions {
            guard let idle = leastRecentlyUsed else { return .full }
            evicted = idle
            remove(idle)
        }
        lastID += 1
        records[lastID] = Record(key: key, state: .opening, uses: 1, lastUsed: now)
        current[key] = lastID
        return .open(lastID, evicted: evicted)
    }

    /// The handshake of a session succeeded: all that joined hold a lease on it now.
    package mutating func opened(_ id: ID) { records[id]?.state = .ready }

    /// The handshake failed: the session does not exist, and nobody holds a lease on it.
    package mutating func failed(_ id: ID) { remove(id) }

    /// A call is over. Returns whether the session is to be closed now.
    package mutating func release(_ id: ID, at now: Instant) -> Bool {
        guard let place = records.index(forKey: id) else { preconditionFailure("a lease was released twice") }
        records.values[place].uses -= 1
        records.values[place].lastUsed = now
        let record = records.values[place]
        precondition(record.uses >= 0, "a lease was released twice")
        guard record.state == .retired, record.uses == 0 else { return false }
        remove(id)
        return true
    }

    /// The session is not to be used by further calls. Harmless when it is retired or gone. Returns whether it is to be
    /// closed now.
    package mutating func retire(_ id: ID) -> Bool {
        guard let record = records[id] else { return false }
        records[id]?.state = .retired
        if current[record.key] == id { current[record.key] = nil }
        guard record.uses == 0 else { return false }
        remove(id)
        return true
    }

    /// Takes out the sessions that have been idle for too long; close them.
    package mutating func expire(at now: Instant) -> [ID] {
        let expired = records.filter { $0.value.isIdle && $0.value.lastUsed + idleTimeout <= now }.map(\.key)
        for id in expired { remove(id) }
        return expired
    }

    /// When `expire` will have something to do, if no call comes before; nil when no session is idle.
    package var nextExpiry: Instant? {
        records.values.lazy.filter { $0.isIdle }.map { $0.lastUsed }.min().map { $0 + idleTimeout }
    }

    private var leastRecentlyUsed: ID? {
        records.lazy.filter { $0.value.isIdle }.min { $0.value.lastUsed < $1.value.lastUsed }?.key
    }

    private mutating func remove(_ id: ID) {
        guard let record = records.removeValue(forKey: id) else { return }
        if current[record.key] == id { current[record.key] = nil }
    }
}
