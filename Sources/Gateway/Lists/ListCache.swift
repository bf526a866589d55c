import Reactor

/// Which lists are kept, which are being read, and who is to wait for what: the decisions of `Lists`, without I/O and
/// clock.
///
/// A list is read once at a time for all who want it, is kept for a while, and is dropped when it has changed. A reading that
/// a change overtakes still answers those who wait for it, and is not kept; who comes after the change starts another.
struct ListCache<Key: Hashable, Value> {
    /// A reading's number.
    typealias ReadingID = Int

    enum Decision {
        /// Here it is, and it is fresh until then.
        case kept(Value, until: Instant)
        /// It is being read: wait for that.
        case join(ReadingID)
        /// Read it.
        case read(ReadingID)
    }

    struct Limits {
        /// How many lists are kept.
        var count: Int
        /// Bytes of all lists that are kept.
        var size: Int
    }

    private struct Entry {
        let value: Value
        let size: Int
        let until: Instant
    }

    private struct Reading {
        let key: Key
        /// The list has changed since.
        var isStale = false
    }

    private var ttl: Duration
    private let limits: Limits
    private var entries: [Key: Entry] = [:]
    private var readings: [ReadingID: Reading] = [:]
    private var current: [Key: ReadingID] = [:]
    private var lastID = 0
    /// Bytes of what is kept.
    private(set) var size = 0

    /// - Parameter ttl: how long a list is fresh; zero keeps none.
    init(ttl: Duration, limits: Limits) {
        self.ttl = ttl
        self.limits = limits
    }

    /// Lists are fresh for another time from now on: none is kept that was read before.
    mutating func setLifetime(ttl: Duration) {
        self.ttl = ttl
        invalidateList { _ in true }
    }

    /// How many lists are kept, and how many are being read.
    var count: Int { entries.count }
    var readingCount: Int { readings.count }

    /// A request wants a list. After `read`, call `finishReading` or `failReading` once.
    mutating func request(_ key: Key, at now: Instant) -> Decision {
        if let entry = entries[key] {
            if now < entry.until { return .kept(entry.value, until: entry.until) }
            removeList(key)
        }
        if let id = current[key] { return .join(id) }
        lastID += 1
        readings[lastID] = Reading(key: key)
        current[key] = lastID
        return .read(lastID)
    }

    /// A reading has brought a list.
    ///
    /// - Parameters:
    ///   - size: bytes of the value.
    ///   - isKept: whether it may be kept at all.
    /// - Returns: until when it is fresh. A reading that has ended already changes nothing.
    mutating func finishReading(
        _ id: ReadingID, with value: Value, size: Int, isKept: Bool, at now: Instant
    ) -> Instant {
        guard let reading = endReading(id), !reading.isStale else { return now }
        let until = now + ttl
        guard isKept, now < until, size <= limits.size else { return until }
        removeExpired(at: now)
        entries[reading.key] = Entry(value: value, size: size, until: until)
        self.size += size
        evictOldest()
        return until
    }

    /// A reading has failed. Nothing is kept of that.
    mutating func failReading(_ id: ReadingID) { _ = endReading(id) }

    /// A list has changed: what is kept of it is dropped, and so will be what is being read.
    mutating func invalidateList(_ key: Key) {
        removeList(key)
        guard let id = current.removeValue(forKey: key) else { return }
        readings[id]?.isStale = true
    }

    /// ``invalidateList(_:)`` of all these.
    mutating func invalidateList(where isChanged: (Key) -> Bool) {
        for key in Set(entries.keys).union(current.keys) where isChanged(key) { invalidateList(key) }
    }

    /// Drops what is kept where `predicate` says so; what is being read is left alone.
    mutating func dropLists(where predicate: (Key, Value) -> Bool) {
        for (key, entry) in entries where predicate(key, entry.value) { removeList(key) }
    }

    /// Nil for a reading that has ended already.
    private mutating func endReading(_ id: ReadingID) -> Reading? {
        guard let reading = readings.removeValue(forKey: id) else { return nil }
        if current[reading.key] == id { current[reading.key] = nil }
        return reading
    }

    private mutating func removeList(_ key: Key) {
        guard let entry = entries.removeValue(forKey: key) else { return }
        size -= entry.size
    }

    private mutating func removeExpired(at now: Instant) {
        for (key, entry) in entries where entry.until <= now { removeList(key) }
    }

    /// All are fresh for the same time: the one that ends first was read first.
    private mutating func evictOldest() {
        while entries.count > limits.count || size > limits.size {
            guard let oldest = entries.min(by: { $0.value.until < $1.value.until })?.key else { return }
            removeList(oldest)
        }
    }
}
