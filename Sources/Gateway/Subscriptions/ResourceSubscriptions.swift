import Reactor

/// Which resources one session is subscribed to on the server, and for how many listeners. Decides when the server is
/// asked; without I/O and clock.
struct ResourceSubscriptions {
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
        var listeners: Int
        var isHonoured = false
        /// When the last listener left.
        var idleSince: Instant?
    }

    private var records: [[UInt8]: Record] = [:]

    /// A listener wants to hear of a resource. Followed by one `leave`, unless `settled` says that the server refused.
    mutating func join(_ uri: [UInt8]) -> Decision {
        guard var record = records[uri] else {
            records[uri] = Record(listeners: 1)
            return .ask
        }
        record.listeners += 1
        record.idleSince = nil
        records[uri] = record
        return record.isHonoured ? .honoured : .wait
    }

    /// The server's answer. After a refusal nobody listens, and the next one who wants to asks again.
    mutating func settled(_ uri: [UInt8], isHonoured: Bool) {
        if isHonoured { records[uri]?.isHonoured = true } else { records[uri] = nil }
    }

    /// Whether nothing is subscribed to, nor will be.
    var isEmpty: Bool { records.isEmpty }

    /// Whether the server is being asked.
    func isPending(_ uri: [UInt8]) -> Bool { records[uri].map { !$0.isHonoured } ?? false }

    /// Whether the server tells of changes of this resource.
    func isHonoured(_ uri: [UInt8]) -> Bool { records[uri]?.isHonoured == true }

    /// A listener has left.
    mutating func leave(_ uri: [UInt8], at now: Instant) {
        guard var record = records[uri] else { return }
        record.listeners -= 1
        precondition(record.listeners >= 0, "a listener left twice")
        if record.listeners == 0 { record.idleSince = now }
        records[uri] = record
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
    var all: [[UInt8]] { records.filter { $0.value.isHonoured && $0.value.listeners > 0 }.map(\.key) }
}
