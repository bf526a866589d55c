package import Crypto
import HTTPTransport
package import HTTPWire
import Legacy
package import Reactor
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
        /// Nobody has the call any more, and it falls to this loop to go on with it. Nothing was answered.
        case ours
    }

    private let settings: ReplicaSettings
    let index: Int
    private let loop: Loop
    private let pass: PeerPass
    private let peers: [String: PeerDestination]
    /// All loops of the process in their order, this one too.
    private var shards: [Shard] = []
    private var senders: [CueSender] = []
    private let seal: Seal

    /// - Parameter index: of this loop among those of the process.
    package init(_ settings: ReplicaSettings, index: Int, on loop: Loop, seal: Seal) {
        self.settings = settings
        self.index = index
        self.loop = loop
        self.seal = seal
        pass = PeerPass(seal)
        peers = Dictionary(
            uniqueKeysWithValues: settings.peers.map {
                ($0.name, PeerDestination(name: $0.name, endpoint: $0.endpoint, on: loop, limits: settings.head))
            })
    }

    /// To be called once, before anything is asked of it.
    ///
    /// - Parameter shards: all loops of the process.
    func connect(_ shards: [Shard]) {
        self.shards = shards
        let siblings = shards.enumerated().filter { $0.offset != index }.map { $0.element }
        senders = siblings.map { shard in CueSender(on: loop) { await shard.hear($0) } }
        guard settings.sharesCues else { return }
        senders += peers.values.map { peer in
            CueSender(on: loop) { [pass] in
                await PeerReply.send(PeerMessage.cues(CueBatch.text($0), to: (peer.name, pass)), to: peer)
            }
        }
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
                if let passed = await pass(retry, as: .answer(loop: owner.loop), to: sibling, nil, client) {
                    return passed
                }
            }
        } else if let peer = peers[owner.replica] {
            switch await pass(retry, as: .answer(loop: owner.loop), to: peer, peer.name, client) {
            case let passed?: return passed
            case nil: break
            }
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
                if let passed = await pass(retry, as: .succeed(call), to: sibling(successor), nil, client) {
                    return passed
                }
            } else if let peer = peers[name],
                let passed = await pass(retry, as: .succeed(call), to: peer, name, client)
            {
                return passed
            }
        }
        return .ours
    }

    /// Which of a replica's loops goes on with a call that another replica had.
    static func loop(of call: CallID, among count: Int) -> Int {
        count > 1 ? Int(call.bytes.prefix(4).reduce(UInt32(0)) { $0 << 8 | UInt32($1) } % UInt32(count)) : 0
    }

    private func sibling(_ index: Int) -> SiblingDestination {
        SiblingDestination(shard: shards[index], loop: loop, limits: settings.head)
    }

    /// Nil when the other was not reached or has no such call: nothing was delivered.
    private func pass(
        _ retry: HTTPServerRequest, as task: PeerTask, to destination: any PassDestination, _ name: String?,
        _ client: HTTPServerConnection
    ) async -> Passed? {
        let passage = PassThrough(
            retry, to: destination, answering: client,
            limits: PassThrough.Limits(total: settings.requestTimeout, silence: settings.silence))
        passage.isRefused = PeerAnswer.isGone
        passage.lastEvent = { error in PeerAnswer.lastEvent(of: retry, error) }
        let message = PeerMessage.retry(retry, as: task, from: client, to: name.map { ($0, pass) })
        switch await passage.run(message) {
        case .answered, .abandoned:
            return .answered(status: passage.status ?? 499, bytes: passage.responseBytes)
        case .cut:
            return .answered(status: passage.status ?? 499, bytes: passage.responseBytes)
        case .failed(let error):
            return error.kind == .unavailable ? nil : .unknown(error)
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
