package import Crypto
package import Legacy
package import Reactor
package import Store

/// The sessions of one loop that other loops and replicas have too, as they stand in the store.
///
/// A session is looked up when a call needs one that its loop has not, and renewed in rounds; no call waits for the store whose session is
/// there. While the store is away each loop has sessions of its own, which are offered when it is back.
package final class SharedSessions {
    /// Between two rounds: a loop finds out that a session was replaced, or has no listener, within that time.
    private static let interval: Duration = .seconds(10)
    /// Places that are renewed by one trip, and searches and offers at once: with 16 ends at once, all of their commands have
    /// room among those that may wait (`StoreLimits.maxCommands`).
    private static let (renewedAtOnce, asksAtOnce) = (8, 6)
    /// Sessions that are known to be of no use. One that is forgotten is found out again by the next call on it.
    private static let maxBroken = 1024

    private let store: any StoreConnection
    private let prefix: String
    private let seal: Seal
    private let loop: Loop
    private let timer: Deadline
    /// Of this loop of this process.
    private let user: [UInt8]
    /// Those that are taken.
    private var places: [[UInt8]: Place] = [:]
    /// Digests of sealed texts by the names of their entries.
    private var broken: [[UInt8]: [UInt8]] = [:]
    private var asking = 0
    private let answered = Wakeup()
    private var isRenewing = false
    private var isStopping = false
    private var isEnded = false
    private var idleTimeout: Duration = .zero
    private var callers: CallerRules?
    /// Whether other replicas are known, which may go on with sessions when this process stops.
    var knowsReplicas: () -> Bool = { false }

    /// - Parameters:
    ///   - store: of this loop.
    ///   - prefix: of what Remora has in the store.
    package init(_ store: any StoreConnection, prefix: String, seal: Seal, on loop: Loop) {
        self.store = store
        self.prefix = prefix
        self.seal = seal
        self.loop = loop
        user = Base64URL.encodeBytes(SecureRandom.bytes(12))
        timer = Deadline(on: loop)
        timer.onExpiry = { [unowned self] in beginRound() }
    }

    /// Another configuration is in force, or the first.
    ///
    /// - Parameters:
    ///   - callers: know a caller's identity.
    ///   - idleTimeout: how long the store keeps a session that no loop uses.
    func applySettings(_ callers: CallerRules, idleTimeout: Duration) {
        self.callers = callers
        self.idleTimeout = idleTimeout
    }

    package func startSharing() {
        store.user = self
        store.startConnecting()
    }

    /// The process ends.
    func endSharing() {
        isEnded = true
        timer.set(nil)
        store.closeStore()
    }

    var storeCounts: StoreCounts { store.counts }

    // MARK: Rounds

    private func beginRound() {
        guard !isRenewing, !isEnded else { return }
        isRenewing = true
        loop.spawn {
            await self.renewPlaces()
            self.isRenewing = false
            if !self.isEnded, !self.places.isEmpty { self.timer.set(after: SharedSessions.interval) }
        }
    }

    /// Renews what is used here, and hears what others have done to it. Ends early where the store is away.
    func renewPlaces() async {
        var rest = Array(places.values.filter(\.isEntered))
        while !rest.isEmpty {
            let some = rest.suffix(SharedSessions.renewedAtOnce)
            rest.removeLast(some.count)
            let batches = some.map { $0.renewal }
            let replies: [StoreReply]
            do throws(StoreFailure) {
                replies = try await store.runCommands(Array(batches.joined()))
            } catch {
                if error.wasSent { for place in some { place.mayBeKnown() } }
                return
            }
            var start = 0
            for (place, batch) in zip(some, batches) {
                let end = start + batch.count
                if end <= replies.count { place.renewed(Array(replies[start..<end])) }
                start = end
            }
        }
    }

    /// Commands for one place, in turn where many ask.
    fileprivate func ask(_ commands: [StoreCommand]) async throws(StoreFailure) -> [StoreReply] {
        while asking >= SharedSessions.asksAtOnce { await answered.wait() }
        asking += 1
        defer {
            asking -= 1
            answered.signal()
        }
        return try await store.runCommands(commands)
    }

    // MARK: Places

    fileprivate func placeWasEntered() { if !timer.isSet { timer.set(after: SharedSessions.interval) } }

    fileprivate func removePlace(_ place: Place) { if places[place.name] === place { places[place.name] = nil } }

    fileprivate func isTaken(_ name: [UInt8]) -> Bool { places[name] != nil }

    fileprivate func noteBroken(_ text: [UInt8], at name: [UInt8]) {
        if broken.count >= SharedSessions.maxBroken { broken = [:] }
        broken[name] = SHA256.digest(text)
    }

    /// The session in a text of the store; nil where it is none, or of no use.
    fileprivate func session(in text: [UInt8], at name: [UInt8]) -> SharedSession? {
        if let broken = broken[name], broken == SHA256.digest(text) { return nil }
        return SharedSessionEntry.openText(text, seal, entry: name, at: .now)
    }

    fileprivate func sealedText(_ session: SharedSession, at name: [UInt8]) -> [UInt8]? {
        SharedSessionEntry.sealedText(session, seal, entry: name, at: .now)
    }

    /// What tells sessions of an entry apart, without saying their ids.
    fileprivate func streamName(of session: SharedSession) -> [UInt8] {
        seal.storeName(of: Array("stream ".utf8) + session.server + [0] + session.id)
    }

    fileprivate var entryLifetime: Duration { idleTimeout + SharedSessionCommands.userLifetime }

    /// Whether a session that this process leaves may go on elsewhere.
    fileprivate var keepsSessions: Bool { isStopping && knowsReplicas() }
}

extension SharedSessions: SessionDirectory {
    package func takePlace(of key: SessionKey) -> (any SharedPlace)? {
        guard !isStopping, let callers, let identity = callers.callerIdentity(of: key.principal) else { return nil }
        // They have any bytes: their lengths keep apart what would else read alike.
        let parts = [callers.identityScheme, identity, key.capabilities, key.roots]
        let name = seal.storeName(
            of: Array("session \(parts.map { "\($0.count)" }.joined(separator: " ")) ".utf8) + parts.joined())
        guard places[name] == nil else { return nil }
        let place = Place(
            name, SharedSessionCommands(prefix: prefix, name: name, user: user), in: self)
        places[name] = place
        return place
    }

    package func processStops() { isStopping = true }
}

extension SharedSessions: StoreUser {
    package func storeBecameReady() { if !places.isEmpty { beginRound() } }
}

extension SharedSessions {
    /// The entry of one pool key, for a session of this loop.
    fileprivate final class Place: SharedPlace {
        private enum State {
            /// Leads to all others.
            case taken
            /// A session of this loop has it. Leads to the rest.
            case entered
            /// Leads to `left`.
            case retired
            case left
        }

        let name: [UInt8]
        private let commands: SharedSessionCommands
        private let owner: SharedSessions
        private var state = State.taken
        /// Until the place is retired or left: a weak reference would make each count of the session's references slow.
        private var user: (any SharedSessionUser)?
        /// What this loop has found or put there.
        private var text: [UInt8]?
        private var stream: [UInt8] = []
        private var session: SharedSession?
        /// What is there and of no use, so that it may be replaced.
        private var useless: [UInt8]?
        /// Whether others may use the session: it has stood in the store, or may have.
        private var isKnown = false
        private var listener: [UInt8]?
        private var listens = false

        init(_ name: [UInt8], _ commands: SharedSessionCommands, in owner: SharedSessions) {
            self.name = name
            self.commands = commands
            self.owner = owner
        }

        var isEntered: Bool { if case .entered = state { true } else { false } }

        func findSession() async -> SharedSession? {
            guard let replies = try? await owner.ask(commands.find), replies.count == 2,
                case .text(let text) = replies[1]
            else { return nil }
            return noteSession(in: text)
        }

        func offerSession(_ session: SharedSession) async -> SharedSession? {
            guard let own = owner.sealedText(session, at: name) else { return nil }
            noteOwn(session, own)
            guard let replies = await claimedReplies(), let there = claimedText(replies) else { return nil }
            if there == own {
                isKnown = true
                noteListener(replies[2])
                return session
            }
            return noteSession(in: there)
        }

        func enterPlace(_ user: any SharedSessionUser, _ session: SharedSession, listens: Bool) {
            // One that is too large to be offered is of this loop alone.
            guard case .taken = state, text != nil else { return retirePlace(isBroken: false) }
            self.user = user
            self.listens = listens
            state = .entered
            owner.placeWasEntered()
            // A session that was found may have no listener.
            if !listens { owner.loop.spawn { await self.renewPlace() } }
        }

        func retirePlace(isBroken: Bool) {
            if isBroken, isKnown, let text { owner.noteBroken(text, at: name) }
            if case .left = state { return }
            state = isBroken ? .left : .retired
            user = nil
            owner.removePlace(self)
        }

        func leavePlace() async -> Bool {
            if case .left = state { return !isKnown }
            state = .left
            user = nil
            owner.removePlace(self)
            // The next session of the key here may be the same.
            guard let text, !owner.isTaken(name) else { return !isKnown }
            let command = commands.leave(text, stream: stream, keeps: owner.keepsSessions)
            let replies = try? await owner.store.runCommands([command])
            return replies?.first == .integer(1) || !isKnown
        }

        // MARK: Renewal

        private var claim: [StoreCommand] {
            guard let text else { return [] }
            return commands.claim(text, expecting: useless, stream: stream, for: owner.entryLifetime)
        }

        var renewal: [StoreCommand] { claim }

        private func renewPlace() async {
            guard isEntered, let replies = await claimedReplies() else { return }
            renewed(replies)
        }

        /// The answers to ``claim``; nil where there are none.
        private func claimedReplies() async -> [StoreReply]? {
            do throws(StoreFailure) {
                return try await owner.ask(claim)
            } catch {
                if error.wasSent { mayBeKnown() }
                return nil
            }
        }

        /// The text that is there after a claim; nil where the answers do not say it.
        private func claimedText(_ replies: [StoreReply]) -> [UInt8]? {
            if replies.count == 3, case .text(let there) = replies[1] { return there }
            mayBeKnown()
            return nil
        }

        /// Whether the claim has had its effect, is not known: another replica may use the session.
        func mayBeKnown() { isKnown = true }

        /// The answers to ``renewal``.
        func renewed(_ replies: [StoreReply]) {
            guard isEntered, let there = claimedText(replies) else { return }
            if there == text {
                isKnown = true
                useless = nil
                return noteListener(replies[2])
            }
            guard let session, let found = owner.session(in: there, at: name) else {
                noteUseless(there)
                return
            }
            if found.isSameSession(as: session) {
                text = there
                return noteListener(replies[2])
            }
            let user = user
            retirePlace(isBroken: false)
            // It stands in no entry any more, and others may be at work on it.
            state = .left
            user?.sessionWasReplaced()
        }

        private func noteListener(_ reply: StoreReply) {
            guard case .text(let name) = reply else { return }
            let before = listener
            listener = name
            let isOwn = name == owner.user
            guard isEntered, isOwn == listens else {
                listens = isOwn
                if isEntered { user?.listenToStream(isOwn) }
                return
            }
            if let before, before != name { user?.streamHasMoved() }
        }

        // MARK: What is there

        private func noteOwn(_ session: SharedSession, _ text: [UInt8]) {
            self.session = session
            self.text = text
            stream = owner.streamName(of: session)
        }

        /// One that no replica has written is not replaced where it does not fit into a command.
        private func noteUseless(_ text: [UInt8]) { useless = text.count <= SharedSessionEntry.maxText ? text : nil }

        /// The session in a text that is there, if it is of use: it is the one of this place from now on.
        private func noteSession(in text: [UInt8]) -> SharedSession? {
            guard let found = owner.session(in: text, at: name) else {
                noteUseless(text)
                return nil
            }
            noteOwn(found, text)
            useless = nil
            isKnown = true
            return found
        }
    }
}
