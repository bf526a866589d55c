package import Crypto
import HTTPTransport
package import HTTPWire
import Legacy
package import Reactor
package import Telemetry
import Translation

/// How a process is called among its replicas, and which others there are.
package struct ReplicaSettings: Sendable {
    package struct Member: Sendable {
        package let name: String
        package let endpoint: Endpoint

        package init(name: String, endpoint: Endpoint) {
            self.name = name
            self.endpoint = endpoint
        }
    }

    /// The same for all processes that may share a key, and different for each; without a slash.
    package let name: String
    package let peers: [Member]
    /// Whether peers are told what a server told here.
    package let sharesChangeNotices: Bool
    /// The longest that any call may take.
    package let requestTimeout: Duration
    /// How long whoever answers a retry may be silent. He shows a sign of life more often.
    package let silence: Duration
    package let head: HTTPLimits

    package init(
        name: String, peers: [Member], sharesChangeNotices: Bool, requestTimeout: Duration, silence: Duration,
        head: HTTPLimits
    ) {
        self.name = name
        self.peers = peers
        self.sharesChangeNotices = sharesChangeNotices
        self.requestTimeout = requestTimeout
        self.silence = silence
        self.head = head
    }
}

/// The other replicas and the other loops of this process, as one loop reaches them.
package final class Replicas {
    /// What became of a retry that was to go elsewhere.
    enum ForwardResult {
        /// The answer was written, to its end or as far as it came; or its client went away.
        case answered(status: Int, bytes: Int)
        /// Whoever has the call was reached, and what became of the retry is not known. Nothing was answered.
        case unknown(BackendError)
        /// Whoever has the call takes nothing from this replica: nothing was delivered. Nothing was answered.
        case refused(BackendError)
        /// Nobody has the call any more, and it falls to this loop to go on with it. Nothing was answered.
        case takeOverHere
    }

    private let settings: ReplicaSettings
    let index: Int
    private let loop: Loop
    private let token: PeerToken
    private let peers: [String: PeerEndpoint]
    /// All loops of the process in their order, this one too.
    private var shards: [any Sibling] = []
    private var senders: [ChangeNoticeSender] = []
    private let seal: Seal
    private let log: Log
    /// What has gone wrong between replicas.
    var numbers = PeerCounts()
    /// Before this, nothing more is said of what others refused.
    private var quietUntil: Instant
    /// Between two lines about that.
    private static let silence: Duration = .seconds(10)

    /// - Parameter index: of this loop among those of the process.
    package init(_ settings: ReplicaSettings, index: Int, on loop: Loop, seal: Seal, log: Log) {
        self.log = log
        quietUntil = loop.now
        self.settings = settings
        self.index = index
        self.loop = loop
        self.seal = seal
        token = PeerToken(seal)
        peers = Dictionary(
            settings.peers.map {
                ($0.name, PeerEndpoint(name: $0.name, endpoint: $0.endpoint, on: loop, limits: settings.head))
            }, uniquingKeysWith: { first, _ in first })
    }

    /// To be called once, before anything is asked of it.
    ///
    /// - Parameter shards: all loops of the process.
    func connect(_ shards: [any Sibling]) {
        self.shards = shards
        let siblings = shards.enumerated().filter { $0.offset != index }.map { $0.element }
        senders = siblings.map { shard in ChangeNoticeSender(on: loop) { await shard.receiveNotices($0) } }
        guard settings.sharesChangeNotices else { return }
        senders += peers.values.map { peer in
            ChangeNoticeSender(on: loop) { [weak self] in await self?.sendNotices($0, to: peer) }
        }
    }

    /// Whoever cannot be reached has no use for cues.
    private func sendNotices(_ notices: [PeerChangeNotice], to peer: PeerEndpoint) async {
        guard let connection = try? await peer.connect() else { return }
        let message = PeerMessage.changeNotices(ChangeNoticeBatch.text(notices), to: (peer.name, token))
        let status = await PeerStatusRequest.send(message, on: connection, loop)
        connection.close()
        if let status, status >= 400 { noteFailure(.refused(status), of: peer.name) }
    }

    /// Whether there are others to whom a request may come.
    var hasPeers: Bool { shards.count > 1 || !peers.isEmpty }

    /// Says in a `requestState` that this loop has the call.
    package var owner: [UInt8] { CallOwner(replica: settings.name, loop: index).bytes }

    // MARK: Retries

    /// Has whoever has a call answer a retry of its client.
    ///
    /// - Parameter owner: of the call, as its `requestState` says.
    func forwardRetry(
        _ retry: HTTPServerRequest, of call: CallID, to owner: [UInt8], answering client: HTTPServerConnection
    ) async -> ForwardResult {
        guard let owner = CallOwner(owner) else { return .takeOverHere }
        var isOwnerHere = false
        if owner.replica == settings.name {
            isOwnerHere = true
            if owner.loop != index, owner.loop < shards.count {
                let sibling = siblingTarget(owner.loop)
                if let result = await sendRetry(retry, as: .serveRetry(loop: owner.loop), to: sibling, client) {
                    return result
                }
            }
        } else if let peer = peers[owner.replica],
            let result = await forwardRetry(retry, as: .serveRetry(loop: owner.loop), to: peer, client)
        {
            return result
        }
        return await findTakeOver(retry, of: call, from: owner.replica, isOwnerHere, client)
    }

    /// Finds who is to go on with a call that nobody has. All replicas find the same, as far as they reach the same: so no
    /// answer is delivered by two. Whoever had it comes last, since others may have gone on while it was away.
    private func findTakeOver(
        _ retry: HTTPServerRequest, of call: CallID, from owner: String, _ isOwnerHere: Bool,
        _ client: HTTPServerConnection
    ) async -> ForwardResult {
        let names = ([settings.name] + peers.keys).filter { $0 != owner }
        for name in Rendezvous.order(names, for: call) + (isOwnerHere ? [settings.name] : []) {
            if name == settings.name {
                let takeOverLoop = Replicas.takeOverLoop(of: call, among: shards.count)
                if takeOverLoop == index { return .takeOverHere }
                if let result = await sendRetry(retry, as: .takeOver(call), to: siblingTarget(takeOverLoop), client) {
                    return result
                }
            } else if let peer = peers[name],
                let result = await forwardRetry(retry, as: .takeOver(call), to: peer, client)
            {
                // One that takes nothing from here does not go on with it either.
                if case .refused = result { continue }
                return result
            }
        }
        return .takeOverHere
    }

    /// Which of a replica's loops goes on with a call that another replica had.
    static func takeOverLoop(of call: CallID, among count: Int) -> Int {
        count > 1 ? Int(call.bytes.prefix(4).reduce(UInt32(0)) { $0 << 8 | UInt32($1) } % UInt32(count)) : 0
    }

    /// What became of a request of an older client that was handed to the loop which has its session.
    enum HandOverResult {
        /// As ``ForwardResult/answered(status:bytes:)``.
        case answered(status: Int, bytes: Int)
        /// Nothing was answered.
        case failed(BackendError)
    }

    /// Has another loop of this process answer a request of an older client.
    func handOverRequest(
        _ request: HTTPServerRequest, to other: Int, answering client: HTTPServerConnection
    ) async -> HandOverResult {
        guard shards.indices.contains(other) else {
            return .failed(BackendError(.unavailable, "the session is not there any more"))
        }
        let forwarded = ForwardedRequest(
            request, to: siblingTarget(other), answering: client,
            timeouts: ForwardedRequest.Timeouts(total: settings.requestTimeout, silence: settings.silence))
        guard case .failed(let error) = await forwarded.run(PeerMessage.session(request, from: client)) else {
            return .answered(status: forwarded.status ?? 499, bytes: forwarded.responseBytes)
        }
        return .failed(error)
    }

    private func siblingTarget(_ index: Int) -> SiblingTarget {
        SiblingTarget(shard: shards[index], loop: loop, limits: settings.head)
    }

    /// Nil when the other was not reached or has no such call: nothing was delivered.
    private func forwardRetry(
        _ retry: HTTPServerRequest, as task: PeerTask, to peer: PeerEndpoint, _ client: HTTPServerConnection
    ) async -> ForwardResult? {
        let target = PeerTarget(to: peer, token)
        let result = await sendRetry(retry, as: task, to: target, client, receiver: peer.name)
        guard let failure = target.failure else { return result }
        noteFailure(failure, of: peer.name)
        if case .answered = result { return result }
        guard case .refused(let status) = failure else { return nil }
        return .refused(PeerResponse.refused(status))
    }

    private func sendRetry(
        _ retry: HTTPServerRequest, as task: PeerTask, to target: any ForwardTarget,
        _ client: HTTPServerConnection, receiver: String? = nil
    ) async -> ForwardResult? {
        let forwarded = ForwardedRequest(
            retry, to: target, answering: client,
            timeouts: ForwardedRequest.Timeouts(total: settings.requestTimeout, silence: settings.silence))
        var bareStatus: Int?
        forwarded.isRefused = { head in
            if PeerResponse.isGone(head) { return true }
            if receiver != nil, PeerResponse.isBare(head) { bareStatus = head.status }
            return bareStatus != nil
        }
        forwarded.lastEvent = { error in PeerResponse.lastEvent(of: retry, error) }
        let message = PeerMessage.retry(retry, as: task, from: client, to: receiver.map { ($0, token) })
        switch await forwarded.run(message) {
        case .answered, .abandoned, .cut:
            return .answered(status: forwarded.status ?? 499, bytes: forwarded.responseBytes)
        case .failed(let error):
            guard let status = bareStatus, let receiver else {
                return error.kind == .unavailable ? nil : .unknown(error)
            }
            noteFailure(.refused(status), of: receiver)
            // It was let in before it was lost: whoever has the call may have got it.
            if status >= 500 { return .unknown(BackendError(.noAnswer, "it answered with HTTP \(status)")) }
            return .refused(PeerResponse.refused(status))
        }
    }

    /// Another replica does not take what comes from here, or gives no answer that can be one.
    private func noteFailure(_ failure: PeerTarget.Failure, of peer: String) {
        numbers.refusedThere += 1
        guard loop.now >= quietUntil else { return }
        quietUntil = loop.now + Replicas.silence
        log.write(.warning, "peer_unusable") { line in
            line.field("replica", peer)
            switch failure {
            case .refused(let status):
                line.field("status", status)
                line.field("advice", "check replicas.keys and the clocks of all replicas")
            case .silent:
                line.field("advice", "it can be reached and does not answer: check whether its process runs")
            }
        }
    }

    // MARK: Cues

    /// A server said something on a session of this caller: tells the others, who may have sessions that were not told.
    ///
    /// - Parameter identity: of the caller.
    func notifyOthers(_ notice: ChangeNotice, of identity: [UInt8]) {
        guard !senders.isEmpty else { return }
        let notice = PeerChangeNotice(caller: seal.name(of: identity), notice: notice)
        for sender in senders { sender.add(notice) }
    }
}
