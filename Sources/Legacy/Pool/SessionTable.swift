package import Reactor

/// Which sessions there are, who uses them, and which may go: the decisions of the pool, without I/O and clock.
///
/// Of the sessions of a key, one is shared: any number of calls use it at once. A call that is *exclusive*, because the server
/// may ask its client something, has a session that no other exclusive call uses meanwhile, so a key may have several. Of those
/// that are free it gets the oldest: a client that sends many calls at once returns to the session that it began with, where the
/// server keeps what the client has said. Shared calls use one that an exclusive call has as well: they ask for nothing, and
/// another session for each list would be a waste. Sessions that are retired (lost, or cancelled to death) live on here until the
/// last call that uses them has ended. Where a session is a process, it lives on until that has ended: it takes its place for as
/// long as it is there.
///
/// Every key has an owner, who may have a share of all sessions and no more. Calls for which there is no room wait: those of one
/// owner in the order in which they came, and the owners in turns, so that no owner waits longer because another one asks more
/// often. One owner may have all sessions for as long as no other has asked for any: see ``Limits/lone``.
package struct SessionTable<Key: Hashable, Owner: Hashable & Sendable> {
    /// A session's number in this table.
    package typealias ID = Int
    /// The number of a call that waits.
    package typealias Ticket = Int

    package struct Limits: Sendable {
        /// How many sessions may exist, those that are being opened included.
        package var sessions: Int
        /// How many of them one owner may have.
        package var sessionsPerOwner: Int
        /// How many calls may wait, and how many of one owner.
        package var waiting: Int
        package var waitingPerOwner: Int
        /// The owner that may have all of them until another one asks for the first time; nil: every owner has a share.
        package var lone: Owner?
        /// Whether a session has its place until its end is over, which ``sessionEnded(_:)`` tells.
        package var endingCounts: Bool

        package init(
            sessions: Int, sessionsPerOwner: Int, lone: Owner? = nil, waiting: Int, waitingPerOwner: Int,
            endingCounts: Bool = false
        ) {
            self.sessions = sessions
            self.sessionsPerOwner = sessionsPerOwner
            self.lone = lone
            self.waiting = waiting
            self.waitingPerOwner = waitingPerOwner
            self.endingCounts = endingCounts
        }
    }

    /// Which limit a call has met.
    package enum Limit: Sendable {
        /// All sessions are in use.
        case sessions
        /// The owner has its share, and all of that is in use.
        case share
        /// Enough calls wait already, in all or of this owner.
        case queue
    }

    package enum Decision: Equatable {
        /// Use this session.
        case use(ID)
        /// It is being opened: wait for `sessionOpened` or `openingFailed`.
        case join(ID)
        /// Open it; first close the one that was evicted to make room, if any.
        case open(ID, evicted: ID?)
        /// There is no room: wait until `nextWaiting` names this ticket, or `leaveQueue`. See ``evictIdle()``.
        case wait(Ticket)
        /// There is no room, not even to wait.
        case full(Limit)
    }

    private enum State {
        /// Leads to `ready` or to the record's end; by eviction and expiry too, if no call waits for it any more.
        case opening
        /// Leads to `retired`, or to the record's end by eviction and expiry.
        case ready
        /// Not for new calls. Leads to the record's end with its last use.
        case retired
        /// Closed, and not gone yet. Leads to the record's end.
        case ending
    }

    /// A class, so that a call that uses one copies nothing of it.
    private final class Record {
        let id: ID
        let key: Key
        let owner: Owner
        var state = State.opening
        /// Whether its handshake succeeded.
        var hasOpened = false
        /// Calls that hold a lease on it, or will when it has opened.
        var uses = 1
        /// Whether one of them is exclusive.
        var isTaken: Bool
        /// Whether no exclusive call may have it any more.
        var isShared = false
        /// Whether it keeps its place while no call has it.
        var isHeld = false
        var lastUsed: Instant

        /// Whether no call has it or waits for it, so that its place is free for others.
        var isIdle: Bool { uses == 0 && (state == .ready || state == .opening) && !isHeld }

        init(_ id: ID, key: Key, owner: Owner, isTaken: Bool, lastUsed: Instant) {
            self.id = id
            self.key = key
            self.owner = owner
            self.isTaken = isTaken
            self.lastUsed = lastUsed
        }

        /// One more call on it, if it is ready.
        func takeCall(at now: Instant) -> Bool {
            guard state == .ready else { return false }
            uses += 1
            lastUsed = now
            return true
        }
    }

    private struct Waiting {
        let ticket: Ticket
        let key: Key
        let isExclusive: Bool
        let after: ID
    }

    private enum Room {
        case free
        /// Once this idle session has gone.
        case evicting(ID)
        case none(Limit)
    }

    private var limits: Limits
    private var idleTimeout: Duration
    /// Whether ``Limits/lone`` is not the only owner that has asked.
    private var hasOthers = false
    private var records: [ID: Record] = [:]
    /// The one that shared calls use.
    private var current: [Key: ID] = [:]
    /// Those that are ready and that an exclusive call may take, the oldest last. No key here has none.
    private var free: [Key: [ID]] = [:]
    /// The oldest of these of one key, which is not in ``free``: it is nearly always what is taken next, and to look a key up
    /// costs several times what else is done.
    private var hand: (key: Key, id: ID)?
    /// The one that was taken last, as long as no older one of its key has become free.
    private var oldestTaken: ID?
    /// How many sessions each owner has, and how many of them are ending.
    private var held: [Owner: Int] = [:]
    private var heldEnding: [Owner: Int] = [:]
    private var lastID = 0
    /// What ``leaseReady(_:at:)`` found last, which it nearly always finds next, and ``releaseLease(_:isExclusive:at:)`` as well: most
    /// loops serve one key. One that is gone is retired.
    private var latest: Record?

    /// The calls that wait, in the order in which they came. No owner here has none.
    private var queues: [Owner: [Waiting]] = [:]
    /// The owners whose calls wait, the one whose turn is next first.
    private var turns: [Owner] = []
    private var owners: [Ticket: Owner] = [:]
    private var lastTicket = 0

    /// - Parameter idleTimeout: how long a session may be without a call before it is closed.
    package init(limits: Limits, idleTimeout: Duration) {
        self.limits = limits
        self.idleTimeout = idleTimeout
    }

    /// How many sessions have a place.
    package var count: Int { records.count }
    /// How many of them are closed, and not gone yet.
    package private(set) var endingCount = 0
    /// Openings over HTTP whose places were given to others before they have ended: as many as there may be sessions, and no more.
    private var cut: Set<ID> = []
    /// How many calls wait.
    package var waitingCount: Int { owners.count }

    /// ``requestLease(_:at:)`` where a session is ready; nil, and nothing has changed, where none is.
    package mutating func leaseReady(_ key: Key, at now: Instant) -> ID? {
        if let latest, latest.key == key, latest.takeCall(at: now) { return latest.id }
        guard let id = current[key], let record = records[id], record.takeCall(at: now) else { return nil }
        latest = record
        return id
    }

    /// One more call on a session, if it is ready. To be followed by one ``releaseLease(_:isExclusive:at:)``.
    package mutating func useSession(_ id: ID, at now: Instant) -> Bool { records[id]?.takeCall(at: now) ?? false }

    /// The same for an exclusive call.
    package mutating func takeReady(_ key: Key, at now: Instant) -> ID? {
        // What is free is ready: `letTake` sees to that, and whatever makes a session anything else to `letNoneTake`.
        guard let id = popFree(key) else { return nil }
        return takeFree(id, at: now)
    }

    private mutating func takeFree(_ id: ID, at now: Instant) -> ID? {
        guard let record = records[id], record.takeCall(at: now) else { return nil }
        record.isTaken = true
        return id
    }

    private mutating func popFree(_ key: Key) -> ID? {
        if let hand, hand.key == key {
            self.hand = nil
            oldestTaken = hand.id
            return hand.id
        }
        guard let id = free[key]?.popLast() else { return nil }
        if free[key]?.isEmpty == true { free[key] = nil }
        oldestTaken = id
        return id
    }

    /// One that an exclusive call may take, if there is one.
    ///
    /// - Parameter after: with a greater number than this.
    private func firstFree(_ key: Key, after: ID = 0) -> ID? {
        if let hand, hand.key == key, hand.id > after { return hand.id }
        return free[key]?.last { $0 > after }
    }

    /// The one that shared calls use.
    ///
    /// - Parameter after: if it has a greater number than this.
    private func currentSession(_ key: Key, after: ID) -> ID? { current[key].flatMap { $0 > after ? $0 : nil } }

    /// The number of the last session that there was.
    package var latestID: ID { lastID }

    /// A call wants a session for `key`. Except after `wait` and `full`, each is followed by one `releaseLease`, or by `openingFailed`
    /// for all that wait. One that waits no longer for a session that is being opened releases it.
    ///
    /// - Parameters:
    ///   - owner: the same for equal keys.
    ///   - isExclusive: whether it wants it for as long as it lasts, as ``releaseLease(_:isExclusive:at:)`` has to know.
    ///   - after: only a session with a greater number than this will do: the others were there when one was found to be lost
    ///     that the call had. 0 where any will do.
    package mutating func requestLease(
        _ key: Key, of owner: Owner, isExclusive: Bool = false, after: ID = 0, at now: Instant
    ) -> Decision {
        if owner != limits.lone { hasOthers = true }
        // No call is overtaken: as soon as there is room, `nextWaiting` gives it to calls that wait. A call that still waits then
        // has no room that this one could have.
        return leaseDecision(key, of: owner, isExclusive, after, at: now)
            ?? enqueueCall(key, of: owner, isExclusive, after)
    }

    /// What can be done for a call at once; nil when it has to wait.
    private mutating func leaseDecision(
        _ key: Key, of owner: Owner, _ isExclusive: Bool, _ after: ID, at now: Instant
    ) -> Decision? {
        if isExclusive {
            if after == 0 {
                if let id = takeReady(key, at: now) { return .use(id) }
            } else if let free = firstFree(key, after: after) {
                letNoneTake(free, of: key)
                if let id = takeFree(free, at: now) { return .use(id) }
            }
        } else if let id = currentSession(key, after: after), let record = records[id] {
            record.uses += 1
            record.lastUsed = now
            return record.state == .opening ? .join(id) : .use(id)
        }
        switch roomForOwner(for: owner) {
        case .free:
            return .open(addRecord(key, of: owner, isExclusive, at: now), evicted: nil)
        case .evicting where limits.endingCounts:
            return nil
        case .evicting(let idle):
            removeRecord(idle)
            return .open(addRecord(key, of: owner, isExclusive, at: now), evicted: idle)
        case .none:
            return nil
        }
    }

    /// The lone owner has its share from now on, as where there are others.
    package mutating func leaveRoomForOthers() { hasOthers = true }

    /// How many sessions an owner may have.
    private func ownerShare(of owner: Owner) -> Int {
        owner == limits.lone && !hasOthers ? limits.sessions : limits.sessionsPerOwner
    }

    private func roomForOwner(for owner: Owner) -> Room {
        if held[owner, default: 0] >= ownerShare(of: owner) {
            let limit: Limit = ownerShare(of: owner) == limits.sessions ? .sessions : .share
            return leastRecentlyUsed { $0.owner == owner }.map { .evicting($0) } ?? .none(limit)
        }
        if records.count >= limits.sessions {
            return leastRecentlyUsed { _ in true }.map { .evicting($0) } ?? .none(.sessions)
        }
        return .free
    }

    private mutating func addRecord(_ key: Key, of owner: Owner, _ isExclusive: Bool, at now: Instant) -> ID {
        lastID += 1
        records[lastID] = Record(lastID, key: key, owner: owner, isTaken: isExclusive, lastUsed: now)
        // A shared call that opens one where there is one has found the others of that time lost.
        if current[key] == nil || !isExclusive { current[key] = lastID }
        held[owner, default: 0] += 1
        return lastID
    }

    // MARK: Waiting

    /// What calls wait for that a session would help which this owner has, or which anybody has; nil where none waits so.
    package func shortageLimit(of owner: Owner) -> Limit? {
        if waitingCount == 0 { return nil }
        // What is ending already makes room for as many.
        if held[owner, default: 0] >= ownerShare(of: owner), heldEnding[owner, default: 0] < wantedSessions(by: owner) {
            return .share
        }
        guard records.count >= limits.sessions else { return nil }
        return endingCount < turns.reduce(0, { $0 + wantedInShare(by: $1) }) ? .sessions : nil
    }

    private mutating func enqueueCall(_ key: Key, of owner: Owner, _ isExclusive: Bool, _ after: ID) -> Decision {
        let own = queues[owner]?.count ?? 0
        guard waitingCount < limits.waiting, own < limits.waitingPerOwner else { return .full(.queue) }
        lastTicket += 1
        queues[owner, default: []].append(
            Waiting(ticket: lastTicket, key: key, isExclusive: isExclusive, after: after))
        owners[lastTicket] = owner
        if own == 0 { turns.append(owner) }
        return .wait(lastTicket)
    }

    /// Takes out a call that need not wait any more: as after `requestLease`, it is followed by one `releaseLease`, or by `openingFailed`. To be
    /// called after each change until it returns nil.
    package mutating func nextWaiting(at now: Instant) -> (ticket: Ticket, decision: Decision)? {
        if waitingCount == 0 { return nil }
        // A session that one call has had opened serves the others of its key at once.
        for owner in turns {
            guard
                let served = queues[owner]?.first(where: {
                    ($0.isExclusive ? firstFree($0.key, after: $0.after) : currentSession($0.key, after: $0.after))
                        != nil
                })
            else { continue }
            return takeWaiting(served, of: owner, at: now)
        }
        for (index, owner) in turns.enumerated() {
            guard let first = queues[owner]?.first else { continue }
            switch roomForOwner(for: owner) {
            case .none: continue
            case .evicting where limits.endingCounts: continue
            case .free, .evicting: break
            }
            turns.remove(at: index)
            turns.append(owner)
            return takeWaiting(first, of: owner, at: now)
        }
        return nil
    }

    private mutating func takeWaiting(
        _ waiting: Waiting, of owner: Owner, at now: Instant
    ) -> (ticket: Ticket, decision: Decision)? {
        dequeueTicket(waiting.ticket)
        return leaseDecision(waiting.key, of: owner, waiting.isExclusive, waiting.after, at: now)
            .map { (waiting.ticket, $0) }
    }

    /// Takes out an idle session for the sake of calls that wait; close it. Its place is free once it has ended. To be called
    /// after ``nextWaiting(at:)`` until it returns nil.
    ///
    /// No more are taken out than there are sessions to be opened.
    package mutating func evictIdle() -> ID? {
        guard limits.endingCounts, waitingCount > 0 else { return nil }
        for owner in turns where held[owner, default: 0] >= ownerShare(of: owner) {
            guard heldEnding[owner, default: 0] < wantedSessions(by: owner),
                let idle = leastRecentlyUsed(where: { $0.owner == owner })
            else { continue }
            removeRecord(idle)
            return idle
        }
        guard records.count >= limits.sessions, let idle = leastRecentlyUsed(where: { _ in true }),
            endingCount < turns.reduce(0, { $0 + wantedInShare(by: $1) })
        else { return nil }
        removeRecord(idle)
        return idle
    }

    /// How many sessions would serve all calls of an owner that wait: one for each exclusive call, and one for the others of a
    /// key.
    private func wantedSessions(by owner: Owner) -> Int {
        guard let queue = queues[owner] else { return 0 }
        return queue.count { $0.isExclusive } + Set(queue.lazy.filter { !$0.isExclusive }.map(\.key)).count
    }

    /// How many of these its share has places for.
    private func wantedInShare(by owner: Owner) -> Int {
        let held = held[owner, default: 0] - heldEnding[owner, default: 0]
        return min(wantedSessions(by: owner), max(0, ownerShare(of: owner) - held))
    }

    /// A call has waited for long enough, and goes. Returns what it has waited for.
    package mutating func leaveQueue(_ ticket: Ticket) -> Limit {
        guard let owner = owners[ticket] else { return .queue }
        dequeueTicket(ticket)
        guard case .none(let limit) = roomForOwner(for: owner) else { return .sessions }
        return limit
    }

    private mutating func dequeueTicket(_ ticket: Ticket) {
        guard let owner = owners.removeValue(forKey: ticket) else { return }
        queues[owner]?.removeAll { $0.ticket == ticket }
        guard queues[owner]?.isEmpty == true else { return }
        queues[owner] = nil
        turns.removeAll { $0 == owner }
    }

    // MARK: Sessions

    /// The handshake of a session succeeded: all that joined hold a lease on it now.
    package mutating func sessionOpened(_ id: ID) {
        guard let record = records[id], !record.hasOpened, record.state != .ending else { return }
        record.hasOpened = true
        if record.state == .opening { record.state = .ready }
        letTake(record)
    }

    /// The handshake failed, or was ended for others: the session does not exist, and no call holds a lease on it. Harmless for one
    /// that does.
    package mutating func openingFailed(_ id: ID) {
        if let record = records[id], !record.hasOpened {
            removeRecord(id)
            sessionEnded(id)
        }
        cut.remove(id)
    }

    /// What became of a lease that was given back.
    package enum Released: Equatable {
        case kept
        /// It was the last on a retired session, which is to be closed now.
        case close
        /// The lease did not exist.
        case unknown
    }

    /// A call is over.
    package mutating func releaseLease(_ id: ID, isExclusive: Bool = false, at now: Instant) -> Released {
        let known = if let latest, latest.id == id { latest } else { records[id] }
        guard let record = known, record.uses > 0, record.isTaken || !isExclusive else { return .unknown }
        record.uses -= 1
        record.lastUsed = now
        if isExclusive {
            record.isTaken = false
            letTake(record)
        }
        guard record.uses == 0, record.state == .retired || isOwed(record) else { return .kept }
        removeRecord(id)
        return .close
    }

    /// Whether an idle session goes to another owner, because its own has had more than its share since before others came.
    private func isOwed(_ record: Record) -> Bool {
        guard hasOthers, waitingCount > 0, record.owner == limits.lone, record.state == .ready, !record.isHeld
        else { return false }
        return held[record.owner, default: 0] - heldEnding[record.owner, default: 0] > limits.sessionsPerOwner
            && endingCount < turns.reduce(0) { $0 + ($1 == record.owner ? 0 : wantedInShare(by: $1)) }
    }

    /// Lets an exclusive call have a session that none has, if it can be had. Called once for each time that it becomes so.
    private mutating func letTake(_ record: Record) {
        guard record.state == .ready, !record.isTaken, !record.isShared else { return }
        let (key, id) = (record.key, record.id)
        let isOldest = oldestTaken == id
        oldestTaken = nil
        if let hand, hand.key == key {
            addFree(max(hand.id, id), of: key)
            self.hand = (key, min(hand.id, id))
            return
        }
        if let hand { addFree(hand.id, of: hand.key) }
        hand = (key, id)
        guard !isOldest, !free.isEmpty, let oldest = free[key]?.last, oldest < id else { return }
        free[key]?.removeLast()
        addFree(id, of: key)
        hand = (key, oldest)
    }

    private mutating func addFree(_ id: ID, of key: Key) {
        var (low, high) = (0, free[key]?.count ?? 0)
        while low < high {
            let middle = (low + high) / 2
            if let other = free[key]?[middle], other > id { low = middle + 1 } else { high = middle }
        }
        free[key, default: []].insert(id, at: low)
    }

    private mutating func letNoneTake(_ id: ID, of key: Key) {
        if hand?.id == id {
            hand = nil
            return
        }
        guard let index = free[key]?.firstIndex(of: id) else { return }
        free[key]?.remove(at: index)
        if free[key]?.isEmpty == true { free[key] = nil }
    }

    /// The session asked when no exclusive call could answer: it keeps what it was told then, and is for shared calls only.
    package mutating func shareSession(_ id: ID) {
        guard let record = records[id] else { return }
        record.isShared = true
        letNoneTake(id, of: record.key)
    }

    /// The session keeps its place from now on until it is retired: it makes no room for others, and does not expire.
    package mutating func holdSession(_ id: ID) { records[id]?.isHeld = true }

    /// When the last call on a session ended; nil while one has it, and of one that is gone.
    package func idleStart(of id: ID) -> Instant? {
        guard let record = records[id], record.uses == 0 else { return nil }
        return record.lastUsed
    }

    /// The session is not to be used by further calls. Harmless when it is retired or gone. Returns whether it is to be
    /// closed now.
    package mutating func retireSession(_ id: ID) -> Bool {
        guard let record = records[id], record.state != .ending else { return false }
        record.state = .retired
        letNoneTake(id, of: record.key)
        replaceCurrent(id, of: record.key)
        guard record.uses == 0 else { return false }
        removeRecord(id)
        return true
    }

    /// Takes out the sessions that have been idle for too long; close them.
    package mutating func takeExpired(at now: Instant) -> [ID] {
        let expired = records.filter { $0.value.isIdle && $0.value.lastUsed + idleTimeout <= now }.map(\.key)
        for id in expired { removeRecord(id) }
        return expired
    }

    /// When `takeExpired` will have something to do, if no call comes before; nil when no session is idle.
    package var nextExpiry: Instant? {
        records.values.lazy.filter { $0.isIdle }.map { $0.lastUsed }.min().map { $0 + idleTimeout }
    }

    /// Other limits hold from now on.
    ///
    /// - Returns: idle sessions that are too many now; close them.
    package mutating func applyLimits(_ limits: Limits, idleTimeout: Duration) -> [ID] {
        self.limits = limits
        self.idleTimeout = idleTimeout
        var excess: [ID] = []
        while records.count - endingCount > limits.sessions, let idle = leastRecentlyUsed(where: { _ in true }) {
            removeRecord(idle)
            excess.append(idle)
        }
        return excess
    }

    private func leastRecentlyUsed(where isEligible: (Record) -> Bool) -> ID? {
        var oldest: (id: ID, lastUsed: Instant)?
        for (id, record) in records where record.isIdle && isEligible(record) {
            // Nothing is lost with it.
            if record.state == .opening {
                // What was cut may take as long as a handshake to end.
                if cut.count < limits.sessions { return id }
                continue
            }
            if let known = oldest, known.lastUsed <= record.lastUsed { continue }
            oldest = (id, record.lastUsed)
        }
        return oldest?.id
    }

    /// The session is to be closed: no call has it, and none gets it any more.
    private mutating func removeRecord(_ id: ID) {
        guard let record = records[id], record.state != .ending else { return }
        record.state = .ending
        endingCount += 1
        heldEnding[record.owner, default: 0] += 1
        letNoneTake(id, of: record.key)
        replaceCurrent(id, of: record.key)
        guard !limits.endingCounts else { return }
        if !record.hasOpened { cut.insert(id) }
        sessionEnded(id)
    }

    /// A session that was to be closed is gone, and its place is free. Harmless for any other.
    package mutating func sessionEnded(_ id: ID) {
        guard let record = records[id], record.state == .ending else { return }
        records[id] = nil
        endingCount -= 1
        SessionTable.decrementCount(&heldEnding, record.owner)
        SessionTable.decrementCount(&held, record.owner)
    }

    private static func decrementCount(_ counts: inout [Owner: Int], _ owner: Owner) {
        let rest = counts[owner, default: 1] - 1
        counts[owner] = rest == 0 ? nil : rest
    }

    /// Shared calls use another session of the key than this one, if there is one that no exclusive call has.
    private mutating func replaceCurrent(_ id: ID, of key: Key) {
        if current[key] == id { current[key] = firstFree(key) }
    }
}
