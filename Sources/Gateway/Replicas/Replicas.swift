package import Crypto
import HTTPTransport
package import HTTPWire
import Legacy
package import Reactor
package import Telemetry
import Translation

/// How a process is called among its replicas, and which others there are.
package struct ReplicaSettings: Sendable {
    package struct Peer: Sendable {
        package let name: String
        package let endpoint: Endpoint

        package init(name: String, endpoint: Endpoint) {
            self.name = name
            self.endpoint = endpoint
        }
    }

    /// The same for all processes that may share a key, and different for each; without a slash.
    package let name: String
    package let peers: [Peer]
    /// Whether peers are told what a server told here.
    package let sharesCues: Bool
    /// The longest that any call may take.
    package let requestTimeout: Duration
    /// How long whoever answers a retry may be silent. He shows a sign of life more often.
    package let silence: Duration
    package let head: HTTPLimits

    package init(
        name: String, peers: [Peer], sharesCues: Bool, requestTimeout: Duration, silence: Duration, head: HTTPLimits
    ) {
        self.name = name
        self.peers = peers
        self.sharesCues = sharesCues
        self.requestTimeout = requestTimeout
        self.silence = silence
        self.head = head
    }
}

/// The other replicas and the other loops of this process, as one loop reaches them.
package final class Replicas {
    /// What became of a retry that was to go elsewhere.
    enum Passed {
        /// The answer was written, to its end or as far as it came; or its client went away.
        case answered(status: Int, bytes: Int)
        /// Whoever has the call was reached, and what became of the retry is not known. Nothing was answered.
        case unknown(BackendError)
        /// Whoever has the call takes nothing from this replica: nothing was delivered. Nothing was answered.
        case refused(BackendError)
        /// Nobody has the call any more, and it falls to this loop to go on with it. Nothing was answered.
        case ours
    }

    private let settings: ReplicaSettings
    let index: Int
    private let loop: Loop
    private let pass: PeerPass
    private let peers: [String: PeerDestination]
    /// All loops of the process in their order, this one too.
    private var shards: [any Sibling] = []
    private var senders: [CueSender] = []
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
        pass = PeerPass(seal)
        peers = Dictionary(
            settings.peers.map {
                ($0.name, PeerDestination(name: $0.name, endpoint: $0.endpoint, on: loop, limits: settings.head))
            }, uniquingKeysWith: { first, _ in first })
    }

    /// To be called once, before anything is asked of it.
    ///
    /// - Parameter shards: all loops of the process.
    func connect(_ shards: [any Sibling]) {
        self.shards = shards
        let siblings = shards.enumerated().filter { $0.offset != index }.map { $0.element }
        senders = siblings.map { shard in CueSender(on: loop) { await shard.hear($0) } }
        guard settings.sharesCues else { return }
        senders += peers.values.map { peer in CueSender(on: loop) { [weak self] in await self?.send($0, to: peer) } }
    }

    /// Whoever cannot be reached has no use for cues.
    private func send(_ cues: [PeerCue], to peer: PeerDestination) async {
        guard let connection = try? await peer.connect() else { return }
        let message = PeerMessage.cues(CueBatch.text(cues), to: (peer.name, pass))
        let status = await PeerReply.send(message, on: connection, loop)
        connection.close()
        if let status, status >= 400 { note(.refused(status), of: peer.name) }
    }

    /// Whether there are others to whom a request may come.
    var hasPeers: Bool { shards.count > 1 || !peers.isEmpty }

    /// Says in a `requestState` that this loop has the call.
    package var owner: [UInt8] { CallOwner(replica: settings.name, loop: index).bytes }

    // MARK: Retries

    /// Has whoever has a call answer a retry of its client.
    ///
    /// - Parameter owner: of the call, as its `requestState` says.
    func pass(
        _ retry: HTTPServerRequest, of call: CallID, to owner: [UInt8], answering client: HTTPServerConnection
    ) async -> Passed {
        guard let owner = CallOwner(owner) else { return .ours }
        var isOwnerHere = false
        if owner.replica == settings.name {
            isOwnerHere = true
            if owner.loop != index, owner.loop < shards.count {
                let sibling = sibling(owner.loop)
                if let passed = await pass(retry, as: .answer(loop: owner.loop), to: sibling, client) {
                    return passed
                }
            }
        } else if let peer = peers[owner.replica],
            let passed = await pass(retry, as: .answer(loop: owner.loop), to: peer, client)
        {
            return passed
        }
        return await succeed(retry, of: call, from: owner.replica, isOwnerHere, client)
    }

    /// Finds who is to go on with a call that nobody has. All replicas find the same, as far as they reach the same: so no
    /// answer is delivered by two. Whoever had it comes last, since others may have gone on while it was away.
    private func succeed(
        _ retry: HTTPServerRequest, of call: CallID, from owner: String, _ isOwnerHere: Bool,
        _ client: HTTPServerConnection
    ) async -> Passed {
        let names = ([settings.name] + peers.keys).filter { $0 != owner }
        for name in Rendezvous.order(names, for: call) + (isOwnerHere ? [settings.name] : []) {
            if name == settings.name {
                let successor = Replicas.loop(of: call, among: shards.count)
                if successor == index { return .ours }
                if let passed = await pass(retry, as: .succeed(call), to: sibling(successor), client) {
                    return passed
                }
            } else if let peer = peers[name], let passed = await pass(retry, as: .succeed(call), to: peer, client) {
                // One that takes nothing from here does not go on with it either.
                if case .refused = passed { continue }
                return passed
            }
        }
        return .ours
    }

    /// Which of a replica's loops goes on with a call that another replica had.
    static func loop(of call: CallID, among count: Int) -> Int {
        count > 1 ? Int(call.bytes.prefix(4).reduce(UInt32(0)) { $0 << 8 | UInt32($1) } % UInt32(count)) : 0
    }

    /// What became of a request of an older client that was handed to the loop which has its session.
    enum HandedOver {
        /// As ``Passed/answered(status:bytes:)``.
        case answered(status: Int, bytes: Int)
        /// Nothing was answered.
        case failed(BackendError)
    }

    /// Has another loop of this process answer a request of an older client.
    func handOver(
        _ request: HTTPServerRequest, to other: Int, answering client: HTTPServerConnection
    ) async -> HandedOver {
        guard shards.indices.contains(other) else {
            return .failed(BackendError(.unavailable, "the session is not there any more"))
        }
        let passage = ForwardedRequest(
            request, to: sibling(other), answering: client,
            timeouts: ForwardedRequest.Timeouts(total: settings.requestTimeout, silence: settings.silence))
        guard case .failed(let error) = await passage.run(PeerMessage.session(request, from: client)) else {
            return .answered(status: passage.status ?? 499, bytes: passage.responseBytes)
        }
        return .failed(error)
    }

    private func sibling(_ index: Int) -> SiblingDestination {
        SiblingDestination(shard: shards[index], loop: loop, limits: settings.head)
    }

    /// Nil when the other was not reached or has no such call: nothing was delivered.
    private func pass(
        _ retry: HTTPServerRequest, as task: PeerTask, to peer: PeerDestination, _ client: HTTPServerConnection
    ) async -> Passed? {
        let visit = PeerVisit(to: peer, pass)
        let passed = await pass(retry, as: task, to: visit, client, receiver: peer.name)
        guard let flaw = visit.flaw else { return passed }
        note(flaw, of: peer.name)
        if case .answered = passed { return passed }
        guard case .refused(let status) = flaw else { return nil }
        return .refused(PeerAnswer.refused(status))
    }

    private func pass(
        _ retry: HTTPServerRequest, as task: PeerTask, to destination: any ForwardTarget,
        _ client: HTTPServerConnection, receiver: String? = nil
    ) async -> Passed? {
        let passage = ForwardedRequest(
            retry, to: destination, answering: client,
            timeouts: ForwardedRequest.Timeouts(total: settings.requestTimeout, silence: settings.silence))
        var bareStatus: Int?
        passage.isRefused = { head in
            if PeerAnswer.isGone(head) { return true }
            if receiver != nil, PeerAnswer.isBare(head) { bareStatus = head.status }
            return bareStatus != nil
        }
        passage.lastEvent = { error in PeerAnswer.lastEvent(of: retry, error) }
        let message = PeerMessage.retry(retry, as: task, from: client, to: receiver.map { ($0, pass) })
        switch await passage.run(message) {
        case .answered, .abandoned, .cut:
            return .answered(status: passage.status ?? 499, bytes: passage.responseBytes)
        case .failed(let error):
            guard let status = bareStatus, let receiver else {
                return error.kind == .unavailable ? nil : .unknown(error)
            }
            note(.refused(status), of: receiver)
            // It was let in before it was lost: whoever has the call may have got it.
            if status >= 500 { return .unknown(BackendError(.noAnswer, "it answered with HTTP \(status)")) }
            return .refused(PeerAnswer.refused(status))
        }
    }

    /// Another replica does not take what comes from here, or gives no answer that can be one.
    private func note(_ flaw: PeerVisit.Flaw, of peer: String) {
        numbers.refusedThere += 1
        guard loop.now >= quietUntil else { return }
        quietUntil = loop.now + Replicas.silence
        log.write(.warning, "peer_unusable") { line in
            line.field("replica", peer)
            switch flaw {
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
    func tell(_ cue: Cue, of identity: [UInt8]) {
        guard !senders.isEmpty else { return }
        let told = PeerCue(caller: seal.name(of: identity), cue: cue)
        for sender in senders { sender.add(told) }
    }
}
