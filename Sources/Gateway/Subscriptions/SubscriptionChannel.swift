import Legacy
import MCP
import Reactor
import Translation

/// What the subscriptions of one pool key share: a session of that key, its GET stream, and one subscription on the
/// server for each resource, however many listen.
///
/// It keeps its session in use for as long as somebody listens to something. When the server loses it, it opens another, subscribes
/// again, and tells every notice that may have been missed.
final class SubscriptionChannel {
    /// Between two attempts to reach a server that is gone. Listeners are to hear within 2 s of its return.
    private static let retryDelays: ClosedRange<Duration> = .milliseconds(250) ... .seconds(1)
    /// Sessions that may be lost one after the other while a listener joins. A server that loses each at once is no use.
    private static let maxAttempts = 3
    /// The least between two looks at what nobody listens to any more: each looks at all that there is.
    private static let minExpiry: Duration = .seconds(1)

    private let key: SessionKey
    private let credentials: Credentials
    private let sessions: SessionPool
    private var lease: Lease?
    /// The one before it.
    private var previous: LegacySession?
    /// Of the last session.
    private var serverInfo: ServerInfo?
    private var isRenewing = false
    /// Whether it tells nobody anything any more.
    private(set) var isClosed = false
    private var listeners: [SubscriptionBook.ID: Subscription] = [:]
    private var lastID = 0
    private var joining = 0
    private var book = SubscriptionBook()
    private var resources = ResourceSubscriptions()
    /// What the server is being asked, and who waits for its answer.
    private var asking: [[UInt8]: Wakeup] = [:]
    private var window = ChangeNoticeWindow()
    private let windowTimer: Deadline
    private let linger: Deadline
    private var pause: Pause?

    /// Called when nobody has listened for a while: the channel is not needed any more.
    var onEmpty: (() -> Void)?

    /// - Parameter credentials: of a request whose caller has this key; for all that the channel asks of the server.
    init(for key: SessionKey, credentials: Credentials, sessions: SessionPool) {
        self.key = key
        self.credentials = credentials
        self.sessions = sessions
        windowTimer = Deadline(on: sessions.loop)
        linger = Deadline(on: sessions.loop)
        // The timers are this object's own, and fire no more when it is gone.
        windowTimer.onExpiry = { [unowned self] in closeWindows() }
        linger.onExpiry = { [unowned self] in expire() }
    }

    /// How many listen.
    var count: Int { listeners.count }

    // MARK: Listeners

    /// A listener's place in a channel. Give it back with `leave`.
    struct Membership {
        fileprivate let id: SubscriptionBook.ID
        /// What is honoured.
        fileprivate(set) var filter: SubscriptionFilter
    }

    /// Lets a subscription hear of what it wants, as far as the server can tell. What happens meanwhile, it hears of too.
    ///
    /// - Throws: when there is no session.
    func join(_ subscription: Subscription, wanting filter: SubscriptionFilter) async throws(BackendError) -> Membership
    {
        joining += 1
        defer { joining -= 1 }
        let offer: SubscriptionFilter
        do throws(BackendError) {
            offer = try await self.offer(for: filter)
        } catch {
            if joining == 1 { endIfUnused() }
            throw error
        }
        lastID += 1
        var membership = Membership(id: lastID, filter: offer)
        listeners[membership.id] = subscription
        book.add(membership.id, to: offer)
        membership.filter.resources = []
        for uri in offer.resources {
            // Nothing is asked for whoever has gone meanwhile.
            if !subscription.isEnded, await isSubscribed(to: uri, membership.id) {
                membership.filter.resources.append(uri)
            } else {
                book.remove(membership.id, from: uri)
            }
        }
        // Of a server that has nothing to tell: a session is of no use.
        if book.isEmpty, resources.isEmpty, joining == 1 { giveBack() }
        return membership
    }

    func leave(_ membership: Membership) {
        guard listeners.removeValue(forKey: membership.id) != nil else { return }
        book.remove(membership.id, from: membership.filter)
        let now = sessions.loop.now
        for uri in membership.filter.resources { resources.leave(uri, membership.id, at: now) }
        if !linger.isSet { linger.set(now + ResourceSubscriptions.linger) }
    }

    /// What of a filter the server can tell, as its session says. One that is lost while it is asked says nothing.
    private func offer(for filter: SubscriptionFilter) async throws(BackendError) -> SubscriptionFilter {
        for _ in 1...SubscriptionChannel.maxAttempts {
            let session = try await session()
            let offer = await offer(of: session, for: filter)
            if lease?.session === session { return offer }
        }
        throw BackendError(.sessionLost, "the server lost one session after the other")
    }

    /// What of a filter this server can tell. Resources are tried in any case: many servers take subscriptions and do not
    /// say so.
    private func offer(of session: LegacySession, for filter: SubscriptionFilter) async -> SubscriptionFilter {
        guard await session.hasPushChannel() else { return SubscriptionFilter() }
        let handshake = session.handshake
        var offer = filter
        offer.toolsListChanged = filter.toolsListChanged && handshake.announcesChanges(of: .tools)
        offer.promptsListChanged = filter.promptsListChanged && handshake.announcesChanges(of: .prompts)
        offer.resourcesListChanged = filter.resourcesListChanged && handshake.announcesChanges(of: .resources)
        if !handshake.offers(.resources) { offer.resources = [] }
        return offer
    }

    /// Subscribes on the server, unless that was done for another listener.
    private func isSubscribed(to uri: [UInt8], _ listener: SubscriptionBook.ID) async -> Bool {
        switch resources.join(uri, listener) {
        case .honoured: break
        case .wait:
            while resources.isPending(uri, for: listener), let wakeup = asking[uri] { await wakeup.wait() }
        case .ask:
            let wakeup = Wakeup()
            asking[uri] = wakeup
            let isHonoured = await subscribe(to: uri)
            resources.settled(uri, isHonoured: isHonoured)
            asking[uri] = nil
            wakeup.signal()
        }
        return resources.isHonoured(uri, for: listener)
    }

    /// Whether the server agrees. A session that is lost meanwhile says nothing: the next one is asked.
    private func subscribe(to uri: [UInt8]) async -> Bool {
        for _ in 1...SubscriptionChannel.maxAttempts {
            guard let session = try? await session() else { return false }
            if await session.subscribe(to: uri, credentials: credentials) { return true }
            if lease?.session === session { return false }
        }
        return false
    }

    // MARK: Notices

    /// The server told something on a session of this key.
    func heard(_ notice: ChangeNotice) {
        // What nobody listens to is not remembered.
        let ids = book.listeners(to: notice)
        if ids.isEmpty { return }
        if window.admits(notice, at: sessions.loop.now) { tell(notice, to: ids) }
        if !windowTimer.isSet { windowTimer.set(window.nextEnd) }
    }

    private func closeWindows() {
        for notice in window.close(at: sessions.loop.now) { tell(notice, to: book.listeners(to: notice)) }
        windowTimer.set(window.nextEnd)
    }

    private func tell(_ notice: ChangeNotice, to ids: Set<SubscriptionBook.ID>) {
        let text = notice.text
        for id in ids { listeners[id]?.tell(notice, text) }
    }

    /// The server could not be heard for a while: whatever changed then, nobody was told.
    func missed() { for notice in book.notices { heard(notice) } }

    // MARK: The session

    /// The session of the channel. However many ask at once, the pool makes one.
    private func session() async throws(BackendError) -> LegacySession {
        if let lease { return lease.session }
        let new = try await sessions.lease(key, after: previous, credentials: credentials)
        if let lease {
            sessions.release(new)
            return lease.session
        }
        // Nobody would give it back any more.
        guard !isClosed else {
            sessions.release(new)
            throw BackendError(.unavailable, "Remora takes over another configuration, or stops: listen again")
        }
        // It may have been lost since it was given out.
        guard !new.session.isClosed else {
            sessions.release(new)
            throw BackendError(.unavailable, "the server ended the session as soon as it was made")
        }
        lease = new
        new.session.isWatched = true
        return new.session
    }

    /// A session of this key has ended. Makes another, if it was this one's and somebody listens.
    func ended(_ session: LegacySession) {
        guard lease?.session === session else { return }
        giveBack()
        guard !listeners.isEmpty, !isRenewing, !isClosed else { return }
        isRenewing = true
        sessions.loop.spawn {
            await self.renew()
            self.isRenewing = false
        }
    }

    private func renew() async {
        var delay = SubscriptionChannel.retryDelays.lowerBound
        while !listeners.isEmpty, !isClosed {
            do throws(BackendError) {
                let session = try await session()
                for uri in resources.all { _ = await session.subscribe(to: uri, credentials: credentials) }
                // It may have been lost meanwhile.
                if lease?.session === session { return missed() }
            } catch {
                // The caller's rights have ended; whoever listens may come back with better ones.
                if case .unauthorized = error.kind { return endAll() }
            }
            await rest(delay)
            delay = min(delay * 2, SubscriptionChannel.retryDelays.upperBound)
        }
    }

    private func rest(_ delay: Duration) async {
        let pause = Pause(on: sessions.loop)
        self.pause = pause
        await pause.wait(delay)
        self.pause = nil
    }

    private func giveBack() {
        guard let lease = lease.take() else { return }
        serverInfo = lease.session.handshake.serverInfo
        lease.session.isWatched = false
        previous = lease.session
        sessions.release(lease)
    }

    // MARK: The end

    /// Unsubscribes from what nobody listens to any more, and gives the session back when nobody listens at all.
    private func expire() {
        let expired = resources.expire(at: sessions.loop.now)
        if let session = lease?.session {
            for uri in expired { session.unsubscribe(from: uri, credentials: credentials) }
        }
        let now = sessions.loop.now
        let next = resources.nextExpiry.map { max($0, now + SubscriptionChannel.minExpiry) }
        if joining == 0, endIfUnused() { return }
        linger.set(listeners.isEmpty ? next ?? now + ResourceSubscriptions.linger : next)
    }

    /// Gives the session back, where nobody listens to anything. To be called when nobody is about to, either.
    @discardableResult private func endIfUnused() -> Bool {
        guard listeners.isEmpty, !isRenewing, resources.isEmpty else { return false }
        giveBack()
        onEmpty?()
        return true
    }

    /// Ends every subscription, with the result that says that it was on purpose.
    func endAll() {
        guard let serverInfo = lease?.session.handshake.serverInfo ?? serverInfo else { return }
        for subscription in listeners.values { subscription.end(serverInfo: serverInfo.text) }
    }

    /// The process stops.
    func close() {
        isClosed = true
        pause?.end()
        endAll()
        giveBack()
    }
}
