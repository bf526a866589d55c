import Reactor
import TestSupport
import Testing
import Translation

@testable import Gateway

/// Whatever listeners and servers do, in whatever order.
@Suite struct SubscriptionRandomTests {
    private static func run(_ seed: UInt64) throws(Violation) -> Int {
        var drive = SubscriptionDrive(seed: seed)
        return try drive.run()
    }

    @Test func eachHearsOfWhatTheServerHonouredAndOfNothingElse() { RandomSteps.drive("subscriptions", Self.run) }
}

/// Listeners that join resources one after the other and leave, as those of one channel, sessions that end, and a renewal in the
/// next one, beside a plain model of who has to hear of what.
private struct SubscriptionDrive {
    private enum Turn: Equatable {
        case idle
        /// It has the server asked.
        case asks(Int, question: Int)
        /// Another one does.
        case waits(Int, question: Int)
        case listens
    }

    private struct Listener {
        var turn = Turn.idle
        var toJoin: [Int] = []
        var honoured: Set<Int> = []

        /// Whether it hears of it: from the beginning on, until it is refused.
        func wants(_ uri: Int) -> Bool {
            switch turn {
            case .asks(uri, _), .waits(uri, _): true
            default: honoured.contains(uri) || toJoin.contains(uri)
            }
        }
    }

    private static let uris: [[UInt8]] = ["a:/", "a:/x", "a:/x/", "a:/x/y"].map { Array($0.utf8) }
    /// Which of them are above or the same, for each.
    private static let above: [[Int]] = [[0], [0, 1], [0, 1, 2], [0, 1, 2, 3]]

    private var random: SplitMix
    private var now = Instant(nanoseconds: 1_000_000_000)
    private var resources = ResourceSubscriptions()
    private var book = SubscriptionBook()
    private var window = ChangeNoticeWindow()
    private var listeners: [Int: Listener] = [:]
    private var lastListener = 0
    /// The question that the server has, of each resource, and for whom it agreed, of all so far.
    private var open: [Int: Int] = [:]
    private var outcomes: [Int: Set<Int>] = [:]
    /// The questions of a renewal, in which no listener joins.
    private var renewals: Set<Int> = []
    /// For whom a session before this one agreed, of what this one was not asked or has not answered.
    private var earlier: [Int: Set<Int>] = [:]
    /// Since when a question of a renewal has no listener.
    private var idleQuestions: [Int: Instant] = [:]
    private var lastQuestion = 0
    /// Since when what the server honours has no subscriber; `nil` while it has one.
    private var honoured: [Int: Instant?] = [:]
    private var missed: Set<ChangeNotice> = []
    private var events = 0

    init(seed: UInt64) { random = SplitMix(state: seed) }

    mutating func run() throws(Violation) -> Int {
        for _ in 0..<(20 + random.below(100)) { try event() }
        // The server answers everything, all clients leave, and time passes.
        while let uri = open.keys.first { try settle(uri, random.below(2) == 0 ? .agreed : .refused) }
        for uri in earlier.keys.sorted() {
            renew(uri)
            try settle(uri, .agreed)
        }
        for id in listeners.keys.sorted() {
            while listeners[id] != nil {
                if case .asks(let uri, _) = listeners[id]?.turn { try settle(uri, .agreed) }
                try goOn(id, mayLeave: true)
            }
        }
        now = now + ResourceSubscriptions.linger
        try expire()
        guard resources.isEmpty, book.isEmpty, resources.nextExpiry == nil else {
            throw Violation(what: "something is left over")
        }
        now = now + .seconds(1)
        _ = window.closeWindows(at: now)
        now = now + .seconds(1)
        _ = window.closeWindows(at: now)
        guard window.nextEnd == nil else { throw Violation(what: "a window stays open") }
        return events
    }

    private mutating func event() throws(Violation) {
        events += 1
        switch random.below(12) {
        case 0 where listeners.count < 6:
            lastListener += 1
            var listener = Listener()
            listener.toJoin = (0..<4).filter { _ in random.below(2) == 0 }
            listeners[lastListener] = listener
            book.addListener(lastListener, to: filter(listener.toJoin))
        case 1...5:
            let ids = listeners.keys.sorted()
            guard !ids.isEmpty else { return }
            try goOn(ids[random.below(ids.count)], mayLeave: random.below(3) == 0)
        case 6, 7:
            let uris = open.keys.sorted()
            guard !uris.isEmpty else { return }
            let answers: [ResourceSubscriptions.Answer] = [.agreed, .agreed, .agreed, .refused, .refused, .none]
            try settle(uris[random.below(uris.count)], answers[random.below(answers.count)])
        case 8:
            now = now + .milliseconds(random.below(2000))
            try expire()
        case 9:
            if random.below(4) == 0 { endSession() }
        case 10:
            let unasked = resources.unasked.compactMap(Self.uris.firstIndex).sorted()
            if !unasked.isEmpty { renew(unasked[random.below(unasked.count)]) }
        default:
            try hear(random.below(4))
        }
        try check()
    }

    private func filter(_ uris: [Int]) -> SubscriptionFilter {
        var filter = SubscriptionFilter()
        filter.resources = uris.map { Self.uris[$0] }
        return filter
    }

    /// What a listener's task does when it runs.
    private mutating func goOn(_ id: Int, mayLeave: Bool) throws(Violation) {
        guard var listener = listeners[id] else { return }
        switch listener.turn {
        case .asks: return
        case .idle:
            guard let uri = listener.toJoin.first else {
                listener.turn = .listens
                break
            }
            listener.toJoin.removeFirst()
            switch resources.joinResource(Self.uris[uri], id) {
            case .ask:
                guard open[uri] == nil, honoured[uri] == nil else { throw Violation(what: "the server is asked twice") }
                listener.turn = .asks(uri, question: ask(uri))
            case .wait:
                guard let question = open[uri] else { throw Violation(what: "\(id) waits for nothing") }
                idleQuestions[uri] = nil
                listener.turn = .waits(uri, question: question)
            case .honoured:
                guard honoured[uri] != nil else { throw Violation(what: "honoured without the server") }
                honoured[uri] = .some(nil)
                listener.honoured.insert(uri)
            }
        case .waits(let uri, let question):
            let isPending = resources.isPending(Self.uris[uri], for: id)
            guard isPending == (outcomes[question] == nil) else {
                throw Violation(what: "\(id) waits for another's question")
            }
            if !isPending { try learn(uri, question, id, &listener) }
        case .listens:
            guard mayLeave else { return }
            book.removeListener(id, from: filter(listener.honoured.sorted()))
            for uri in listener.honoured.sorted() {
                resources.leaveResource(Self.uris[uri], id, at: now)
                // Twice is as good as once.
                if random.below(4) == 0 { resources.leaveResource(Self.uris[uri], id, at: now) }
            }
            listeners[id] = nil
            for uri in listener.honoured {
                earlier[uri]?.remove(id)
                // With its last listener goes what no session was asked for.
                if earlier[uri]?.isEmpty == true, open[uri] == nil { earlier[uri] = nil }
                guard !listeners.contains(where: { isFor($0.key, $0.value, uri) }) else { continue }
                if honoured[uri] != nil {
                    honoured[uri] = .some(now)
                } else if open[uri] != nil {
                    idleQuestions[uri] = now
                }
            }
            return
        }
        listeners[id] = listener
    }

    /// Whether a listener is among those for whom the server honours a resource, or will be when it has looked.
    private func isFor(_ id: Int, _ listener: Listener, _ uri: Int) -> Bool {
        switch listener.turn {
        case .waits(uri, let question): outcomes[question].map { $0.contains(id) } ?? true
        case .asks(uri, _): true
        default: listener.honoured.contains(uri)
        }
    }

    /// The server is asked: by a listener, or in a renewal.
    private mutating func ask(_ uri: Int) -> Int {
        lastQuestion += 1
        open[uri] = lastQuestion
        // Those that have not heard yet what was said before wait once more.
        for (id, listener) in listeners {
            if case .waits(uri, let question) = listener.turn, outcomes[question]?.contains(id) == true {
                listeners[id]?.turn = .waits(uri, question: lastQuestion)
            }
        }
        return lastQuestion
    }

    private mutating func renew(_ uri: Int) {
        if resources.beginAsking(Self.uris[uri]) { renewals.insert(ask(uri)) }
    }

    private mutating func endSession() {
        resources.sessionEnded()
        for (uri, idleSince) in honoured where idleSince == nil {
            earlier[uri] = Set(listeners.filter { isFor($0.key, $0.value, uri) }.keys)
        }
        honoured = [:]
    }

    private mutating func learn(_ uri: Int, _ question: Int, _ id: Int, _ listener: inout Listener) throws(Violation) {
        guard let outcome = outcomes[question]?.contains(id), resources.isHonoured(Self.uris[uri], for: id) == outcome
        else {
            throw Violation(what: "\(id) has the answer to another's question")
        }
        if outcome { listener.honoured.insert(uri) } else { book.removeListener(id, from: Self.uris[uri]) }
        listener.turn = .idle
    }

    private mutating func settle(_ uri: Int, _ answer: ResourceSubscriptions.Answer) throws(Violation) {
        guard let question = open.removeValue(forKey: uri) else { return }
        let agreed = earlier[uri] ?? []
        let waiting = listeners.filter { isFor($0.key, $0.value, uri) }.keys
        let ended = resources.settleSubscription(Self.uris[uri], answer)
        guard ended == (answer == .refused ? agreed : []) else { throw Violation(what: "others end than those before") }
        let idleSince = idleQuestions.removeValue(forKey: uri)
        switch answer {
        case .agreed:
            outcomes[question] = Set(waiting)
            honoured[uri] = .some(idleSince)
            earlier[uri] = nil
        case .refused:
            outcomes[question] = []
            earlier[uri] = nil
        case .none:
            outcomes[question] = agreed
            if agreed.isEmpty { earlier[uri] = nil }
        }
        for id in ended where listeners[id]?.honoured.remove(uri) != nil {
            book.removeListener(id, from: Self.uris[uri])
        }
        if renewals.contains(question) { return }
        guard let asker = listeners.first(where: { $0.value.turn == .asks(uri, question: question) })?.key,
            var listener = listeners[asker]
        else { throw Violation(what: "nobody has asked") }
        try learn(uri, question, asker, &listener)
        listeners[asker] = listener
    }

    private mutating func expire() throws(Violation) {
        let due = honoured.filter { $0.value.map { $0 + ResourceSubscriptions.linger <= now } ?? false }.keys
        let expired = resources.takeExpired(at: now)
        guard Set(expired) == Set(due.map { Self.uris[$0] }) else {
            throw Violation(what: "\(expired.count) expire instead of \(due.count)")
        }
        for uri in due { honoured[uri] = nil }
    }

    /// The server tells of a change.
    private mutating func hear(_ uri: Int) throws(Violation) {
        let notice = ChangeNotice.resourceUpdated(Self.uris[uri])
        let wanted = listeners.filter { _, listener in Self.above[uri].contains { listener.wants($0) } }
        guard book.subscribers(to: notice) == Set(wanted.keys) else {
            throw Violation(what: "others hear of a change than want to")
        }
        for notice in window.closeWindows(at: now) { missed.remove(notice) }
        if window.admitsNotice(notice, at: now) { missed.remove(notice) } else { missed.insert(notice) }
        guard missed.isEmpty || window.nextEnd != nil else { throw Violation(what: "a notice is forgotten") }
    }

    private func check() throws(Violation) {
        guard Set(resources.unasked) == Set(earlier.keys.filter { open[$0] == nil }.map { Self.uris[$0] }) else {
            throw Violation(what: "what a new session is to be asked for")
        }
        for (id, listener) in listeners {
            for uri in listener.honoured where open[uri] == nil && !resources.isHonoured(Self.uris[uri], for: id) {
                throw Violation(what: "\(id) does not hear of what was honoured")
            }
        }
        let idle = (honoured.values.compactMap(\.self) + idleQuestions.values).min()
        guard resources.nextExpiry == idle.map({ $0 + ResourceSubscriptions.linger }) else {
            throw Violation(what: "the next expiry")
        }
    }
}
