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

    /// What the server has said.
    enum Answer {
        case agreed
        case refused
        /// There was no session to ask in, or one was lost after the other.
        case none
    }

    private enum State {
        /// The session that agreed has ended, and the next one was not asked yet.
        case unasked
        case asking
        case honoured
    }

    private struct Record {
        var subscribers: Set<Subscriber>
        var state = State.asking
        /// Those for whom a session before this one agreed.
        var earlier: Set<Subscriber> = []
        /// When the last subscriber left.
        var idleSince: Instant?
    }

    private var records: [[UInt8]: Record] = [:]

    /// A subscriber wants to hear of a resource, until it leaves.
    mutating func joinResource(_ uri: [UInt8], _ subscriber: Subscriber) -> Decision {
        guard let state = records[uri]?.state else {
            records[uri] = Record(subscribers: [subscriber])
            return .ask
        }
        records[uri]?.subscribers.insert(subscriber)
        records[uri]?.idleSince = nil
        switch state {
        case .unasked:
            records[uri]?.state = .asking
            return .ask
        case .asking: return .wait
        case .honoured: return .honoured
        }
    }

    /// What a new session has to be asked for.
    var unasked: [[UInt8]] { records.filter { $0.value.state == .unasked }.map(\.key) }

    /// Whether a new session was not asked for this resource yet: ask the server then, and call `settleSubscription`.
    mutating func beginAsking(_ uri: [UInt8]) -> Bool {
        guard records[uri]?.state == .unasked else { return false }
        records[uri]?.state = .asking
        return true
    }

    /// The server's response. After a refusal there is no subscriber, and the next one asks again: what the server says then is
    /// not for those that were refused. Without an answer, those for whom a session agreed before wait for the next one.
    ///
    /// - Returns: those that heard of the resource until now, and do no more.
    mutating func settleSubscription(_ uri: [UInt8], _ answer: Answer) -> Set<Subscriber> {
        guard var record = records[uri] else { return [] }
        switch answer {
        case .agreed:
            record.state = .honoured
            record.earlier = []
            records[uri] = record
            return []
        case .refused:
            records[uri] = nil
            return record.earlier
        case .none:
            record.state = .unasked
            record.subscribers = record.earlier
            records[uri] = record.subscribers.isEmpty ? nil : record
            return []
        }
    }

    /// Whether nothing is subscribed to, nor will be.
    var isEmpty: Bool { records.isEmpty }

    /// Whether the server is being asked for this subscriber.
    func isPending(_ uri: [UInt8], for subscriber: Subscriber) -> Bool {
        guard let record = records[uri], record.state == .asking else { return false }
        return record.subscribers.contains(subscriber)
    }

    /// Whether the server tells this subscriber of changes of the resource, or did until its session ended.
    func isHonoured(_ uri: [UInt8], for subscriber: Subscriber) -> Bool {
        guard let record = records[uri], record.state != .asking else { return false }
        return record.subscribers.contains(subscriber)
    }

    /// A subscriber has left. Harmless for one that does not listen.
    mutating func leaveResource(_ uri: [UInt8], _ subscriber: Subscriber, at now: Instant) {
        guard var record = records[uri], record.subscribers.remove(subscriber) != nil else { return }
        record.earlier.remove(subscriber)
        if record.subscribers.isEmpty { record.idleSince = now }
        records[uri] = record.subscribers.isEmpty && record.state == .unasked ? nil : record
    }

    /// The session has ended, and the next one is to be asked: see ``unasked``. What outlived its last subscriber has ended with it.
    mutating func sessionEnded() {
        records = records.filter { $0.value.state != .honoured || !$0.value.subscribers.isEmpty }
        for (uri, record) in records where record.state == .honoured {
            records[uri]?.state = .unasked
            records[uri]?.earlier = record.subscribers
        }
    }

    /// Removes and returns the resources that have had no subscriber for a while: unsubscribe from them.
    mutating func takeExpired(at now: Instant) -> [[UInt8]] {
        let expired = records.filter { $0.value.state == .honoured }
            .filter { $0.value.idleSince.map { $0 + ResourceSubscriptions.linger <= now } ?? false }.map(\.key)
        for uri in expired { records[uri] = nil }
        return expired
    }

    /// When `takeExpired` will have something to do, if no subscriber joins before.
    var nextExpiry: Instant? {
        records.values.lazy.compactMap(\.idleSince).min().map { $0 + ResourceSubscriptions.linger }
    }
}
