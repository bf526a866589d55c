import Crypto
import Legacy
import Reactor
import Translation

/// The subscriptions of one loop, by the pool key of their callers: two principals share nothing toward the server.
final class Subscriptions {
    /// URIs that one request may name. Each is a round trip to the server when the first subscriber comes.
    private static let maxResources = 1000
    /// Bytes of the id of a request to listen: it is kept as long as its client listens, and each message repeats it.
    private static let maxID = 1024

    private let sessions: SessionPool
    private var channels: [SessionKey: SubscriptionChannel] = [:]
    private var isDraining = false

    /// How many subscriptions are served.
    var count: Int { channels.values.reduce(0) { $0 + $1.count } }

    private var settings: GatewaySettings

    init(sessions: SessionPool, settings: GatewaySettings) {
        self.sessions = sessions
        self.settings = settings
    }

    /// Another configuration is in force, with the same sessions.
    func applySettings(_ settings: GatewaySettings) { self.settings = settings }

    /// Where a subscription hears of changes, until it leaves.
    struct Attachment {
        fileprivate let channel: SubscriptionChannel
        fileprivate let membership: SubscriptionChannel.Membership

        /// To be called once.
        func leaveChannel() { channel.leaveChannel(membership) }
    }

    /// What became of a request to listen.
    enum Beginning {
        /// It is acknowledged: what changes from here on is told.
        case begun(Attachment)
        case refused(Refusal)
        case failed(BackendError)
    }

    /// Begins to serve `subscriptions/listen`.
    ///
    /// - Parameter watch: begins to tell the subscription of tasks, and returns which of these are there to tell of.
    func beginSubscription(
        _ request: ModernRequest, from caller: Caller, _ subscription: Subscription,
        watching watch: (_ tasks: [[UInt8]]) -> [[UInt8]] = { _ in [] }
    ) async -> Beginning {
        if subscription.isEnded { return .failed(.clientLeft) }
        guard request.rawID.count <= Subscriptions.maxID else {
            return .refused(
                .invalidParams("The id of subscriptions/listen must have at most \(Subscriptions.maxID) bytes."))
        }
        let filter: SubscriptionFilter
        do throws(SubscriptionFilter.Flaw) {
            filter = try SubscriptionFilter(
                request.params, in: request.document, maxResources: Subscriptions.maxResources)
        } catch {
            return .refused(.invalidParams(error.advice))
        }
        if !filter.tasks.isEmpty, !request.declaresTasks { return .refused(.needsTasks(hasRun: false)) }
        let key = settings.clients.sessionKey(for: request, of: caller.principal, canBeAsked: settings.isInteractive)
        let channel = subscriptionChannel(for: key, caller.credentials)
        do throws(BackendError) {
            let membership = try await channel.joinChannel(subscription, wanting: filter)
            if !subscription.isEnded {
                var honoured = membership.filter
                honoured.tasks = filter.tasks.isEmpty ? [] : watch(filter.tasks)
                subscription.acknowledgeFilter(honoured)
                channel.endIfOvertaken(membership)
            }
            if isDraining || channel.isClosed { channel.endSubscriptions() }
            return .begun(Attachment(channel: channel, membership: membership))
        } catch {
            return .failed(error)
        }
    }

    private func subscriptionChannel(for key: SessionKey, _ credentials: Credentials) -> SubscriptionChannel {
        if let channel = channels[key] { return channel }
        let channel = SubscriptionChannel(for: key, credentials: credentials, sessions: sessions, owner: self)
        channels[key] = channel
        return channel
    }

    /// A channel is not needed any more.
    func removeChannel(_ channel: SubscriptionChannel, for key: SessionKey) {
        if channels[key] === channel { channels[key] = nil }
    }

    /// A server told this on a session of this caller, here or at another replica.
    func applyChangeNotice(_ notice: ChangeNotice, by principal: KeyedHash) {
        for (key, channel) in channels where key.principal == principal { channel.noticeArrived(notice) }
    }

    /// Something happened to a session. The list cache has heard of it before: a client that lists on a notice must not get an
    /// old list.
    func applySessionEvent(_ event: SessionEvent) {
        switch event {
        case .opened: break
        case .changed(let key, let notice):
            // As with lists: of all of the principal's sessions, perhaps only this one was told.
            applyChangeNotice(notice, by: key.principal)
        case .unheard(let key): channels[key]?.serverWasUnheard()
        case .ended(let key, let session, _): channels[key]?.sessionEnded(session)
        }
    }

    /// Ends every subscription, with the result that says that it was on purpose.
    func endSubscriptions() {
        for channel in channels.values { channel.closeChannel() }
        channels = [:]
    }

    /// Ends every subscription, and those to come as soon as they have begun.
    func drainSubscriptions() {
        isDraining = true
        endSubscriptions()
    }
}
