package import Crypto
import HTTPTransport
import HTTPWire
import Legacy
package import Reactor
package import Telemetry
import Translation

/// The other replicas, and the other loops of this process, as one loop reaches them.
package final class Replicas {
    /// The result of forwarding a retry.
    enum ForwardResult {
        /// The response was written, as far as it came; or the client has left.
        case answered(status: Int, bytes: Int)
        /// The owner of the call was reached, and whether it has the retry is not known. Nothing was written to the
        /// client.
        case unknown(BackendError)
        /// The owner of the call accepts nothing from this replica. Nothing was delivered, and nothing written to the
        /// client.
        case refused(BackendError)
        /// The owner is gone, and this loop has to take the call over. Nothing was written to the client.
        case takeOverHere
    }

    private let settings: ReplicaSettings
    let index: Int
    private let loop: Loop
    private let token: PeerToken
    private var peers: [String: PeerEndpoint] = [:]
    /// All loops of the process in their order, this one included.
    private var workers: [any Sibling] = []
    /// To the other loops.
    private var senders: [ChangeNoticeSender] = []
    private var peerSenders: [String: ChangeNoticeSender] = [:]
    private let seal: Seal
    private let log: Log
    /// Failures between replicas.
    var numbers = PeerCounts()
    /// No failure is logged before this.
    private var quietUntil: Instant
    /// Between two lines about failures.
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
        usePeers([])
    }

    /// Knows these replicas from now on, beside those of the settings, which come first where both have a name.
    func usePeers(_ members: [ReplicaSettings.Member]) {
        var wanted = Dictionary(members.map { ($0.name, $0.endpoint) }, uniquingKeysWith: { first, _ in first })
        for peer in settings.peers { wanted[peer.name] = peer.endpoint }
        wanted[settings.name] = nil
        for (name, peer) in peers where wanted[name] != peer.endpoint {
            peers[name] = nil
            peerSenders[name] = nil
        }
        for (name, endpoint) in wanted where peers[name] == nil {
            let peer = PeerEndpoint(name: name, endpoint: endpoint, on: loop, limits: settings.head)
            peers[name] = peer
            guard settings.sharesChangeNotices else { continue }
            peerSenders[name] = ChangeNoticeSender(on: loop) { [weak self] in await self?.sendNotices($0, to: peer) }
        }
    }

    /// To be called once, before everything else.
    ///
    /// - Parameter workers: all loops of the process.
    func connectLoops(_ workers: [any Sibling]) {
        self.workers = workers
        let siblings = workers.enumerated().filter { $0.offset != index }.map { $0.element }
        senders = siblings.map { worker in ChangeNoticeSender(on: loop) { await worker.receiveNotices($0) } }
    }

    /// A replica that cannot be reached gets none of them.
    private func sendNotices(_ notices: [PeerChangeNotice], to peer: PeerEndpoint) async {
        guard let connection = try? await peer.connectPeer() else { return }
        let message = PeerMessage.changeNotices(ChangeNoticeBatch.batchText(notices), to: (peer.name, token))
        let status = await PeerStatusRequest.sendRequest(message, on: connection, loop)
        connection.closeConnection()
        if let status, status >= 400 { noteFailure(.refused(status), of: peer.name) }
    }

    /// Whether there are other replicas than this one, or may be, by way of which clients reach what is here.
    var hasReplicas: Bool { settings.findsOthers || !peers.isEmpty }

    /// Whether other replicas are known at this moment.
    var knowsReplicas: Bool { !peers.isEmpty }

    /// Whether requests may come to another loop or replica.
    var hasPeers: Bool { workers.count > 1 || hasReplicas }

    /// The owner of calls on this loop, for `requestState`.
    package var owner: [UInt8] { CallOwner(replica: settings.name, loop: index).bytes }

    // MARK: Retries

    /// Forwards a retry to the loop or replica that owns its call, and to the one that takes the call over where the
    /// owner is gone.
    ///
    /// - Parameter owner: the owner in `requestState`.
    func forwardRetry(
        _ retry: HTTPServerRequest, of call: CallID, to owner: [UInt8], answering client: HTTPServerConnection
    ) async -> ForwardResult {
        guard let owner = CallOwner(owner) else { return .takeOverHere }
        var isOwnerHere = false
        if owner.replica == settings.name {
            isOwnerHere = true
            if owner.loop != index, owner.loop < workers.count {
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

    /// Forwards the retry of a call without an owner to the loop that takes the call over. Replicas that reach the same
    /// replicas choose the same one, so that two never deliver an answer. The last owner is the last choice, since
    /// another may have taken the call over while it was away.
    private func findTakeOver(
        _ retry: HTTPServerRequest, of call: CallID, from owner: String, _ isOwnerHere: Bool,
        _ client: HTTPServerConnection
    ) async -> ForwardResult {
        let names = ([settings.name] + peers.keys).filter { $0 != owner }
        for name in Rendezvous.orderedNames(names, for: call) + (isOwnerHere ? [settings.name] : []) {
            if name == settings.name {
                let takeOverLoop = Replicas.takeOverLoop(of: call, among: workers.count)
                if takeOverLoop == index { return .takeOverHere }
                if let result = await sendRetry(retry, as: .takeOver(call), to: siblingTarget(takeOverLoop), client) {
                    return result
                }
            } else if let peer = peers[name],
                let result = await forwardRetry(retry, as: .takeOver(call), to: peer, client)
            {
                // A replica that accepts nothing from this one takes no call over either.
                if case .refused = result { continue }
                return result
            }
        }
        return .takeOverHere
    }

    /// The loop of a replica that takes over a call of another replica.
    static func takeOverLoop(of call: CallID, among count: Int) -> Int {
        count > 1 ? Int(call.bytes.prefix(4).reduce(UInt32(0)) { $0 << 8 | UInt32($1) } % UInt32(count)) : 0
    }

    /// The result of forwarding a request of an older client to the loop that has its session.
    enum HandOverResult {
        /// As ``ForwardResult/answered(status:bytes:)``.
        case answered(status: Int, bytes: Int)
        /// Nothing was written to the client.
        case failed(BackendError)
    }

    /// Forwards a request of an older client to another loop of this process.
    func handOverRequest(
        _ request: HTTPServerRequest, to other: Int, answering client: HTTPServerConnection
    ) async -> HandOverResult {
        guard workers.indices.contains(other) else {
            return .failed(BackendError(.unavailable, "the session is not there any more"))
        }
        let forwarded = ForwardedRequest(
            request, to: siblingTarget(other), answering: client,
            timeouts: ForwardedRequest.Timeouts(total: settings.requestTimeout, silence: settings.silence))
        guard case .failed(let error) = await forwarded.relayResponse(PeerMessage.sessionMessage(request, from: client))
        else {
            return .answered(status: forwarded.status ?? 499, bytes: forwarded.responseBytes)
        }
        return .failed(error)
    }

    /// Brings a retry to the loop that goes on with its call, as the store has it.
    ///
    /// - Parameters:
    ///   - holder: the loop, as ``CallOwner`` spells it.
    ///   - isHandedOver: whether another replica brought it here, and has said of which client it is.
    /// - Returns: `nil` where the loop was not reached. Nothing was delivered then, and nothing written to the client.
    func bringRetry(
        _ retry: HTTPServerRequest, of call: CallID, to holder: [UInt8], isHandedOver: Bool,
        answering client: HTTPServerConnection
    ) async -> ForwardResult? {
        guard let holder = CallOwner(holder) else { return nil }
        // It goes on with the call, or says what became of it.
        let task = PeerTask.takeOver(call)
        if holder.replica == settings.name {
            guard holder.loop != index, holder.loop < workers.count else { return nil }
            return await sendRetry(
                retry, as: task, to: siblingTarget(holder.loop), client, isHandedOver: isHandedOver)
        }
        guard let peer = peers[holder.replica] else { return nil }
        return await forwardRetry(retry, as: task, to: peer, client, isHandedOver: isHandedOver)
    }

    private func siblingTarget(_ index: Int) -> SiblingTarget {
        SiblingTarget(worker: workers[index], loop: loop, limits: settings.head)
    }

    /// - Returns: `nil` if the replica was not reached or does not have the call. Nothing was delivered then.
    private func forwardRetry(
        _ retry: HTTPServerRequest, as task: PeerTask, to peer: PeerEndpoint, _ client: HTTPServerConnection,
        isHandedOver: Bool = false
    ) async -> ForwardResult? {
        let target = PeerTarget(to: peer, token)
        let result = await sendRetry(
            retry, as: task, to: target, client, receiver: peer.name, isHandedOver: isHandedOver)
        guard let failure = target.failure else { return result }
        noteFailure(failure, of: peer.name)
        if case .answered = result { return result }
        guard case .refused(let status) = failure else { return nil }
        return .refused(PeerResponse.refusalError(status))
    }

    private func sendRetry(
        _ retry: HTTPServerRequest, as task: PeerTask, to target: any ForwardTarget,
        _ client: HTTPServerConnection, receiver: String? = nil, isHandedOver: Bool = false
    ) async -> ForwardResult? {
        let forwarded = ForwardedRequest(
            retry, to: target, answering: client,
            timeouts: ForwardedRequest.Timeouts(total: settings.requestTimeout, silence: settings.silence))
        var bareStatus: Int?
        forwarded.isRefused = { head in
            if PeerResponse.hasLostCall(head) { return true }
            if receiver != nil, PeerResponse.isBare(head) { bareStatus = head.status }
            return bareStatus != nil
        }
        forwarded.lastEvent = { error in PeerResponse.lastEvent(of: retry, error) }
        let message = PeerMessage.retryMessage(
            retry, as: task, from: isHandedOver ? nil : client, to: receiver.map { ($0, token) })
        switch await forwarded.relayResponse(message) {
        case .answered, .abandoned, .cut:
            return .answered(status: forwarded.status ?? 499, bytes: forwarded.responseBytes)
        case .failed(let error):
            guard let status = bareStatus, let receiver else {
                return error.kind == .unavailable ? nil : .unknown(error)
            }
            noteFailure(.refused(status), of: receiver)
            // The listener has accepted it and lost it afterwards: the call may have received it.
            if status >= 500 { return .unknown(BackendError(.noAnswer, "it answered with HTTP \(status)")) }
            return .refused(PeerResponse.refusalError(status))
        }
    }

    /// Counts and logs that another replica accepts nothing from this one, or gives no usable response.
    private func noteFailure(_ failure: PeerTarget.ProbeFailure, of peer: String) {
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

    // MARK: Change notices

    /// Sends a change notice of a server to the other loops and replicas, whose sessions of the same caller may not
    /// have received it.
    ///
    /// - Parameter identity: identity of the caller whose session received it.
    func notifyOthers(_ notice: ChangeNotice, of identity: [UInt8]) {
        guard !senders.isEmpty || !peerSenders.isEmpty else { return }
        let notice = PeerChangeNotice(caller: seal.callerName(of: identity), notice: notice)
        for sender in senders { sender.addNotice(notice) }
        for sender in peerSenders.values { sender.addNotice(notice) }
    }
}
