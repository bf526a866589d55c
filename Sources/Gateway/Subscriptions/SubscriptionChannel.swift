import Legacy
import MCP
import Reactor
import Translation

/// What the subscriptions of one pool key share: a session of that key, its GET stream, and one subscription on the
/// server for each resource, however many listen.
///
/// It keeps its session in use for as long as it has a subscriber. When the server loses it, it opens another, subscribes again,
/// and tells every notice that may have been missed.
final class SubscriptionChannel {
    /// Between two attempts to reach a server that is gone. Subscribers are to hear within 2 s of its return.
    private static let retryDelays: ClosedRange<Duration> = .milliseconds(250) ... .seconds(1)
    /// Sessions that may be lost one after the other while a subscriber joins. A server that loses each at once is no use.
    private static let maxAttempts = 3
    /// The least time between two searches for resources without a subscriber: each search looks at all resources.
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
    /// Whether it tells no notice any more.
    private(set) var isClosed = false
    private var subscribers: [SubscriptionBook.ID: Subscription] = [:]
    /// Those that are about to be acknowledged for more than a new session tells.
    private var overtaken: Set<SubscriptionBook.ID> = []
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

    /// Told when there was no subscriber for a while: the channel is not needed any more.
    private weak var owner: Subscriptions?

    /// - Parameter credentials: of a request whose caller has this key; for all that the channel asks of the server.
    init(for key: SessionKey, credentials: Credentials, sessions: SessionPool, owner: Subscriptions?) {
        self.owner = owner
        self.key = key
        self.credentials = credentials
        self.sessions = sessions
        windowTimer = Deadline(on: sessions.loop)
        linger = Deadline(on: sessions.loop)
        // The timers are this object's own, and fire no more when it is gone.
        windowTimer.onExpiry = { [unowned self] in closeWindows() }
        linger.onExpiry = { [unowned self] in expireResources() }
    }

    /// How many listen.
    var count: Int { subscribers.count }

    // MARK: Subscribers

    /// A subscriber's place in a channel. Give it back with `leave`.
    struct Membership {
        fileprivate let id: SubscriptionBook.ID
        /// What is honoured.
        fileprivate(set) var filter: SubscriptionFilter
    }

    /// Lets a subscription hear of what it wants, as far as the server can tell. What happens meanwhile, it hears of too.
    ///
    /// - Throws: when there is no session.
    func joinChannel(
        _ subscription: Subscription, wanting filter: SubscriptionFilter
    ) async throws(BackendError) -> Membership {
        joining += 1
        defer { joining -= 1 }
        let offer: SubscriptionFilter
        do throws(BackendError) {
            offer = try await self.availableFilter(for: filter)
        } catch {
            if joining == 1 { endIfUnused() }
            throw error
        }
        lastID += 1
        var membership = Membership(id: lastID, filter: offer)
        subscribers[membership.id] = subscription
        book.addListener(membership.id, to: offer)
        membership.filter.resources = []
        for uri in offer.resources {
            // Nothing is asked for a subscriber that has left meanwhile.
            if !subscription.isEnded, await isSubscribed(to: uri, membership.id) {
                membership.filter.resources.append(uri)
            } else {
                book.removeListener(membership.id, from: uri)
            }
        }
        // Of a server that has nothing to tell: a session is of no use.
        if book.isEmpty, resources.isEmpty, joining == 1 { releaseSession() }
        return membership
    }

    /// To be called when the subscription is acknowledged: ends it if a new session tells less than the one that it joined.
    func endIfOvertaken(_ membership: Membership) {
        if overtaken.contains(membership.id) { endSubscriptions(of: [membership.id]) }
    }

    func leaveChannel(_ membership: Membership) {
        guard subscribers.removeValue(forKey: membership.id) != nil else { return }
        overtaken.remove(membership.id)
        book.removeListener(membership.id, from: membership.filter)
        let now = sessions.loop.now
        for uri in membership.filter.resources { resources.leaveResource(uri, membership.id, at: now) }
        if !linger.isSet { linger.set(now + ResourceSubscriptions.linger) }
    }

    /// What of a filter the server can tell, as its session says. One that is lost while it is asked says nothing.
    private func availableFilter(for filter: SubscriptionFilter) async throws(BackendError) -> SubscriptionFilter {
        for _ in 1...SubscriptionChannel.maxAttempts {
            let session = try await channelSession()
            let offer = await filterOffered(of: session, for: filter)
            if lease?.session === session { return offer }
        }
        throw BackendError(.sessionLost, "the server lost one session after the other")
    }

    /// What of a filter this server can tell. Resources are tried in any case: many servers take subscriptions and do not
    /// say so.
    private func filterOffered(of session: LegacySession, for filter: SubscriptionFilter) async -> SubscriptionFilter {
        guard await session.hasPushChannel() else { return SubscriptionFilter() }
        let handshake = session.handshake
        var offer = filter
        offer.toolsListChanged = filter.toolsListChanged && handshake.announcesChanges(of: .tools)
        offer.promptsListChanged = filter.promptsListChanged && handshake.announcesChanges(of: .prompts)
        offer.resourcesListChanged = filter.resourcesListChanged && handshake.announcesChanges(of: .resources)
        if !handshake.offers(.resources) { offer.resources = [] }
        return offer
    }

    /// Subscribes on the server, unless that was done for another subscriber.
    private func isSubscribed(to uri: [UInt8], _ subscriber: SubscriptionBook.ID) async -> Bool {
        switch resources.joinResource(uri, subscriber) {
        case .honoured: break
        case .wait:
            while resources.isPending(uri, for: subscriber), let wakeup = asking[uri] { await wakeup.wait() }
        case .ask: await askServer(for: uri)
        }
        return resources.isHonoured(uri, for: subscriber)
    }

    /// Asks the server for a resource, and tells those who wait for its answer.
    private func askServer(for uri: [UInt8]) async {
        let wakeup = Wakeup()
        asking[uri] = wakeup
        let answer = await subscribeResource(to: uri)
        endSubscriptions(of: resources.settleSubscription(uri, answer))
        asking[uri] = nil
        wakeup.signal()
    }

    /// Whether the server agrees. A session that is lost meanwhile says nothing: the next one is asked.
    private func subscribeResource(to uri: [UInt8]) async -> ResourceSubscriptions.Answer {
        for _ in 1...SubscriptionChannel.maxAttempts {
            guard let session = try? await channelSession() else { return .none }
            var filter = SubscriptionFilter()
            filter.resources = [uri]
            var isHonoured = await !filterOffered(of: session, for: filter).resources.isEmpty
            if isHonoured { isHonoured = await session.subscribeResource(to: uri, credentials: credentials) }
            if lease?.session === session { return isHonoured ? .agreed : .refused }
        }
        return .none
    }

    // MARK: Notices

    /// The server told something on a session of this key.
    func noticeArrived(_ notice: ChangeNotice) {
        // A notice without a subscriber is not remembered.
        let ids = book.subscribers(to: notice)
        if ids.isEmpty { return }
        if window.admitsNotice(notice, at: sessions.loop.now) { notifySubscriptions(notice, to: ids) }
        if !windowTimer.isSet { windowTimer.set(window.nextEnd) }
    }

    private func closeWindows() {
        for notice in window.closeWindows(at: sessions.loop.now) {
            notifySubscriptions(notice, to: book.subscribers(to: notice))
        }
        windowTimer.set(window.nextEnd)
    }

    private func notifySubscriptions(_ notice: ChangeNotice, to ids: Set<SubscriptionBook.ID>) {
        let text = notice.text
        for id in ids { subscribers[id]?.sendNotice(notice, text) }
    }

    /// The server could not be heard for a while: changes of that time were not told. Those to come are not, either, where it cannot be
    /// heard any more.
    func serverWasUnheard() {
        notifyAll()
        guard let session = lease?.session else { return }
        sessions.loop.spawn {
            if await session.hasPushChannel() { return }
            if self.lease?.session === session { self.endSubscriptions(of: self.book.listeners) }
        }
    }

    private func notifyAll() { for notice in book.notices { noticeArrived(notice) } }

    // MARK: The session

    /// The session of the channel. However many ask at once, the pool makes one.
    private func channelSession() async throws(BackendError) -> LegacySession {
        if let lease { return lease.session }
        let new = try await sessions.leaseSession(key, after: previous, credentials: credentials)
        if let lease {
            sessions.releaseLease(new)
            return lease.session
        }
        // A closed channel would never give it back.
        guard !isClosed else {
            sessions.releaseLease(new)
            throw BackendError(.unavailable, "Remora takes over another configuration, or stops: listen again")
        }
        // It may have been lost since it was given out.
        guard !new.session.isClosed else {
            sessions.releaseLease(new)
            throw BackendError(.unavailable, "the server ended the session as soon as it was made")
        }
        lease = new
        new.session.isWatched = true
        return new.session
    }

    /// A session of this key has ended. Opens another if it was this channel's and there is a subscriber.
    func sessionEnded(_ session: LegacySession) {
        guard lease?.session === session else { return }
        releaseSession()
        resources.sessionEnded()
        guard !subscribers.isEmpty, !isRenewing, !isClosed else { return }
        isRenewing = true
        sessions.loop.spawn {
            await self.renewSession()
            self.isRenewing = false
        }
    }

    private func renewSession() async {
        var delay = SubscriptionChannel.retryDelays.lowerBound
        while !subscribers.isEmpty, !isClosed {
            do throws(BackendError) {
                let session = try await channelSession()
                await renewSubscriptions(in: session)
                // It may have been lost meanwhile.
                if lease?.session === session { return notifyAll() }
            } catch {
                // The caller's rights have ended; clients may come back with better ones.
                if case .unauthorized = error.kind { return endSubscriptions() }
            }
            await waitToRenew(delay)
            delay = min(delay * 2, SubscriptionChannel.retryDelays.upperBound)
        }
    }

    /// Has a new session tell what the one before it told. Those who listen to more than it tells are ended: they hear what is honoured
    /// when they come again.
    private func renewSubscriptions(in session: LegacySession) async {
        var lists = SubscriptionFilter()
        (lists.toolsListChanged, lists.promptsListChanged, lists.resourcesListChanged) = (true, true, true)
        let offer = await filterOffered(of: session, for: lists)
        // One that is lost meanwhile says nothing.
        guard lease?.session === session else { return }
        endSubscriptions(of: book.listeners(beyond: offer))
        for uri in resources.unasked where lease?.session === session && resources.beginAsking(uri) {
            await askServer(for: uri)
        }
    }

    private func waitToRenew(_ delay: Duration) async {
        let pause = Pause(on: sessions.loop)
        self.pause = pause
        await pause.waitFor(delay)
        self.pause = nil
    }

    private func releaseSession() {
        guard let lease = lease.take() else { return }
        serverInfo = lease.session.handshake.serverInfo
        lease.session.isWatched = false
        previous = lease.session
        sessions.releaseLease(lease)
    }

    // MARK: The end

    /// Unsubscribes from resources without a subscriber, and gives the session back when there is no subscriber at all.
    private func expireResources() {
        let expired = resources.takeExpired(at: sessions.loop.now)
        if let session = lease?.session {
            for uri in expired { session.unsubscribeResource(from: uri, credentials: credentials) }
        }
        let now = sessions.loop.now
        let next = resources.nextExpiry.map { max($0, now + SubscriptionChannel.minExpiry) }
        if joining == 0, endIfUnused() { return }
        linger.set(subscribers.isEmpty ? next ?? now + ResourceSubscriptions.linger : next)
    }

    /// Gives the session back if there is no subscriber. To be called when none is about to join, either.
    @discardableResult private func endIfUnused() -> Bool {
        guard subscribers.isEmpty, !isRenewing, resources.isEmpty else { return false }
        releaseSession()
        owner?.removeChannel(self, for: key)
        return true
    }

    /// Ends every subscription, with the result that says that it was on purpose.
    func endSubscriptions() {
        guard let serverInfo = lease?.session.handshake.serverInfo ?? serverInfo else { return }
        for subscription in subscribers.values { subscription.endSubscription(serverInfo: serverInfo.text) }
    }

    /// Ends those that hear of less than they were told. Each is told first what it joined for.
    private func endSubscriptions(of ids: Set<SubscriptionBook.ID>) {
        guard let serverInfo = lease?.session.handshake.serverInfo ?? serverInfo else { return }
        for id in ids {
            guard let subscription = subscribers[id] else { continue }
            if subscription.isAcknowledged {
                subscription.endSubscription(serverInfo: serverInfo.text)
            } else {
                overtaken.insert(id)
            }
        }
    }

    /// The process stops.
    func closeChannel() {
        isClosed = true
        pause?.endPause()
        endSubscriptions()
        releaseSession()
    }
}
