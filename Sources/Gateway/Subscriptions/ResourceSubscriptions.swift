import Reactor

/// Which resources one session is subscribed to on the server, and for which listeners. Decides when the server is asked;
/// without I/O and clock.
struct ResourceSubscriptions {
    /// A listener's number.
    typealias Listener = Int

    /// How long a subscription outlives its last listener: a client that reconnects finds it.
    static let linger: Duration = .seconds(5)

    enum Decision: Equatable {
        /// Ask the server; then call `settled`.
        case ask
        /// Somebody is asking already: wait for `settled`.
        case wait
        /// The server agreed before.
        case honoured
    }

    private struct Record {
        var listeners: Set<Listener>
        var isHonoured = false
        /// When the last listener left.
        var idleSince: Instant?
    }

    private var records: [[UInt8]: Record] = [:]

    /// A listener wants to hear of a resource, until it leaves.
    mutating func join(_ uri: [UInt8], _ listener: Listener) -> Decision {
        guard let isHonoured = records[uri]?.isHonoured else {
            records[uri] = Record(listeners: [listener])
            return .ask
        }
        records[uri]?.listeners.insert(listener)
        records[uri]?.idleSince = nil
        return isHonoured ? .honoured : .wait
    }

    /// The server's answer. After a refusal nobody listens, and the next one who wants to asks again: what the server says then is
    /// not for those who were refused.
    mutating func settled(_ uri: [UInt8], isHonoured: Bool) {
        if isHonoured { records[uri]?.isHonoured = true } else { records[uri] = nil }
    }

    /// Whether nothing is subscribed to, nor will be.
    var isEmpty: Bool { records.isEmpty }

    /// Whether the server is being asked for this listener.
    func isPending(_ uri: [UInt8], for listener: Listener) -> Bool {
        guard let record = records[uri], !record.isHonoured else { return false }
        return record.listeners.contains(listener)
    }

    /// Whether the server tells this listener of changes of the resource.
    func isHonoured(_ uri: [UInt8], for listener: Listener) -> Bool {
        guard let record = records[uri], record.isHonoured else { return false }
        return record.listeners.contains(listener)
    }

    /// A listener has left. Harmless for one that does not listen.
    mutating func leave(_ uri: [UInt8], _ listener: Listener, at now: Instant) {
        guard records[uri]?.listeners.remove(listener) != nil, records[uri]?.listeners.isEmpty == true else { return }
        records[uri]?.idleSince = now
    }

    /// Takes out what nobody has listened to for a while: unsubscribe from it.
    mutating func expire(at now: Instant) -> [[UInt8]] {
        let expired = records.filter { $0.value.isHonoured }
            .filter { $0.value.idleSince.map { $0 + ResourceSubscriptions.linger <= now } ?? false }.map(\.key)
        for uri in expired { records[uri] = nil }
        return expired
    }

    /// When `expire` will have something to do, if nobody joins before.
    var nextExpiry: Instant? {
        records.values.lazy.compactMap(\.idleSince).min().map { $0 + ResourceSubscriptions.linger }
    }

    /// Everything that a new session has to be subscribed to.
    var all: [[UInt8]] { records.filter { $0.value.isHonoured && !$0.value.listeners.isEmpty }.map(\.key) }
}
