import Crypto
package import Legacy
package import Reactor

/// A session of the server that a client has opened, and names in its calls.
final class HeldHandle {
    let id: CallID
    /// The handle, as its client has it.
    let text: [UInt8]
    /// Of the pool, for its session alone.
    let key: SessionKey
    let sessions: SessionPool
    /// Whether the server was told that it may ask: then a call during which it might has the session alone.
    let isAskable: Bool
    /// When it has been open for long enough.
    let expires: Instant

    init(
        _ id: CallID, as text: [UInt8], _ key: SessionKey, of sessions: SessionPool, isAskable: Bool,
        until expires: Instant
    ) {
        self.id = id
        self.text = text
        self.key = key
        self.sessions = sessions
        self.isAskable = isAskable
        self.expires = expires
    }
}

/// The handles of one loop. It outlives the gateways of the loop: a client finds its session under whatever configuration it comes.
///
/// A handle is here as long as its session takes calls: `SessionPool` has the session, and tells when it has ended.
package final class HeldHandles {
    private let loop: Loop
    private var handles: [CallID: HeldHandle] = [:]
    /// By their texts: to open a seal costs more than to find one that was given here.
    private var texts: [[UInt8]: HeldHandle] = [:]
    private var ids: [SessionKey: CallID] = [:]
    /// Handles, and those that are being opened, of each principal.
    private var held: [KeyedHash: Int] = [:]
    private var lastNumber: UInt64 = 0
    private var idleTimeout: Duration = .seconds(1)
    private let sweep: Deadline
    private var numbers = HandleCounts()

    package init(on loop: Loop) {
        self.loop = loop
        sweep = Deadline(on: loop)
        // The table has the deadline, which ends with it.
        sweep.onExpiry = { [unowned self] in endExpired() }
    }

    /// What was counted so far.
    var counts: HandleCounts {
        var counts = numbers
        counts.open = handles.count
        return counts
    }

    /// A handle of this caller whose session is in this pool.
    func heldHandle(_ id: CallID, of principal: KeyedHash, in sessions: SessionPool) -> HeldHandle? {
        guard let handle = handles[id], handle.key.principal == principal, handle.sessions === sessions else {
            return nil
        }
        return handle
    }

    /// The same, by its text.
    func heldHandle(as text: [UInt8], of principal: KeyedHash, in sessions: SessionPool) -> HeldHandle? {
        guard let handle = texts[text], handle.key.principal == principal, handle.sessions === sessions else {
            return nil
        }
        return handle
    }

    /// Of the handles of a caller, in the order in which they were opened.
    func keys(of principal: KeyedHash, in sessions: SessionPool) -> [SessionKey] {
        guard held[principal] != nil else { return [] }
        let own = handles.values.filter { $0.key.principal == principal && $0.sessions === sessions }
        return own.map(\.key).sorted { $0.handle < $1.handle }
    }

    // MARK: Opening

    /// A place for a handle that is about to be opened; false where its caller has enough. To be given back by ``leavePlace(_:)``, or
    /// filled by ``insertHandle(_:)``.
    func reservePlace(for principal: KeyedHash, _ most: Int) -> Bool {
        guard held[principal, default: 0] < most else {
            numbers.refused += 1
            return false
        }
        held[principal, default: 0] += 1
        return true
    }

    func leavePlace(_ principal: KeyedHash) {
        guard let number = held[principal] else { return }
        held[principal] = number > 1 ? number - 1 : nil
    }

    /// A key of its own for a session that calls with this one could use.
    func makeKey(like key: SessionKey) -> SessionKey {
        lastNumber &+= 1
        return SessionKey(
            principal: key.principal, capabilities: key.capabilities, roots: key.roots, handle: max(1, lastNumber))
    }

    /// The session of a handle is open.
    func insertHandle(_ handle: HeldHandle) {
        numbers.opened += 1
        handles[handle.id] = handle
        texts[handle.text] = handle
        ids[handle.key] = handle.id
        setSweep(by: min(handle.expires, loop.now + idleTimeout))
    }

    // MARK: Ends

    /// Ends the session of a handle after its last call.
    func endHandle(_ handle: HeldHandle, _ end: HandleCounts.End) {
        guard forgetHandle(handle.key, end) else { return }
        handle.sessions.endHandleSession(handle.key)
    }

    private func forgetHandle(_ key: SessionKey, _ end: HandleCounts.End) -> Bool {
        guard let id = ids.removeValue(forKey: key) else { return false }
        if let handle = handles.removeValue(forKey: id) { texts[handle.text] = nil }
        leavePlace(key.principal)
        numbers.noteEnd(end)
        return true
    }

    /// Another configuration is in force: handles whose sessions are in another pool end, and all where there are to be none.
    func applySettings(_ settings: HandleSettings, in sessions: SessionPool) {
        idleTimeout = settings.idleTimeout
        for handle in handles.values where !settings.isOn || handle.sessions !== sessions { endHandle(handle, .reload) }
        if !handles.isEmpty { setSweep(by: loop.now) }
    }

    private var next: Instant?

    private func setSweep(by due: Instant) {
        if let next, next <= due, sweep.isSet { return }
        next = due
        sweep.set(due)
    }

    private func endExpired() {
        let now = loop.now
        var next: Instant?
        for handle in handles.values {
            let idle = handle.sessions.idleStart(ofHandle: handle.key)
            if handle.expires <= now {
                endHandle(handle, .age)
            } else if let idle, idle + idleTimeout <= now {
                endHandle(handle, .idle)
            } else {
                let due = min(handle.expires, (idle ?? now) + idleTimeout)
                next = next.map { min($0, due) } ?? due
            }
        }
        self.next = nil
        if let next { setSweep(by: next) }
    }
}

extension HeldHandles: HandleSessionObserver {
    package func handleSessionEnded(_ key: SessionKey, _ end: SessionEnd?) {
        _ = forgetHandle(key, end == .lost(.configuration) ? .reload : .lost)
    }
}
