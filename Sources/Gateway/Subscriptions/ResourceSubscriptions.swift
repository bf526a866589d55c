import Reactor

/// Which resources one session is subscribed to on the server, and for which subscribers. Decides when the server is asked;
/// without I/O and clock.
struct ResourceSubscriptions {
    /// A subscriber's number.
    typealias Subscriber = Int

    /// How long a subscription outlives its last subscriber: a client that reconnects finds it.
    static let linger: Duration = .seconds(5)

    enum Decision: Equatable {
        /// Ask the server; then call `settleSubscription`.
        case ask
        /// The server is being asked already: wait for `settleSubscription`.
        case wait
        /// The server agreed before.
        case honoured
    }

    private struct Record {
        var subscribers: Set<Subscriber>
        var isHonoured = false
        /// When the last subscriber left.
        var idleSince: Instant?
    }

    private var records: [[UInt8]: Record] = [:]

    /// A subscriber wants to hear of a resource, until it leaves.
    mutating func joinResource(_ uri: [UInt8], _ subscriber: Subscriber) -> Decision {
        guard let isHonoured = records[uri]?.isHonoured else {
            records[uri] = Record(subscribers: [subscriber])
            return .ask
        }
        records[uri]?.subscribers.insert(subscriber)
        records[uri]?.idleSince = nil
        return isHonoured ? .honoured : .wait
    }

    /// The server's response. After a refusal there is no subscriber, and the next one asks again: what the server says then is
    /// not for those that were refused.
    mutating func settleSubscription(_ uri: [UInt8], isHonoured: Bool) {
        if isHonoured { records[uri]?.isHonoured = true } else { records[uri] = nil }
    }

    /// Whether nothing is subscribed to, nor will be.
    var isEmpty: Bool { records.isEmpty }

    /// Whether the server is being asked for this subscriber.
    func isPending(_ uri: [UInt8], for subscriber: Subscriber) -> Bool {
        guard let record = records[uri], !record.isHonoured else { return false }
        return record.subscribers.contains(subscriber)
    }

    /// Whether the server tells this subscriber of changes of the resource.
    func isHonoured(_ uri: [UInt8], for subscriber: Subscriber) -> Bool {
        guard let record = records[uri], record.isHonoured else { return false }
        return record.subscribers.contains(subscriber)
    }

    /// A subscriber has left. Harmless for one that does not listen.
    mutating func leaveResource(_ uri: [UInt8], _ subscriber: Subscriber, at now: Instant) {
        guard records[uri]?.subscribers.remove(subscriber) != nil, records[uri]?.subscribers.isEmpty == true else {
            return
        }
        records[uri]?.idleSince = now
    }

    /// The session has ended, and the next one is subscribed to ``all``: what outlived its last subscriber has to be asked for again.
    mutating func sessionEnded() {
        records = records.filter { !$0.value.isHonoured || !$0.value.subscribers.isEmpty }
    }

    /// Removes and returns the resources that have had no subscriber for a while: unsubscribe from them.
    mutating func takeExpired(at now: Instant) -> [[UInt8]] {
        let expired = records.filter { $0.value.isHonoured }
            .filter { $0.value.idleSince.map { $0 + ResourceSubscriptions.linger <= now } ?? false }.map(\.key)
        for uri in expired { records[uri] = nil }
        return expired
    }

    /// When `takeExpired` will have something to do, if no subscriber joins before.
    var nextExpiry: Instant? {
        records.values.lazy.compactMap(\.idleSince).min().map { $0 + ResourceSubscriptions.linger }
    }

    /// Everything that a new session has to be subscribed to.
    var all: [[UInt8]] { records.filter { $0.value.isHonoured && !$0.value.subscribers.isEmpty }.map(\.key) }
}
