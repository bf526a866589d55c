import Reactor
import TestSupport

@testable import Gateway

/// Another loop of the process, as the others see it. All of it runs on the loop of the test.
final class ScriptedSibling: Sibling, @unchecked Sendable {
    let inbox: RequestInbox
    private(set) var peers: [Peer] = []
    /// The batches of notices that have come.
    private(set) var batches: [[PeerChangeNotice]] = []
    /// The replicas that it was told last.
    private(set) var members: [ReplicaSettings.Member] = []
    /// How many requests of replicas were told to be refused.
    private(set) var refusals = 0
    /// Whether it takes no connection any more.
    var isGone = false
    let changed = Wakeup()
    private let loop: Loop

    init(on loop: Loop, respond: @escaping (ReceivedRequest) -> Void = { _ in }) {
        self.loop = loop
        inbox = RequestInbox(on: loop, respond: respond)
    }

    func adoptConnection(_ end: SocketEnd) async {
        guard !isGone, let socket = end.takeSocket(on: loop) else { return }
        let peer = Peer(socket, on: loop)
        peers.append(peer)
        inbox.watch(peer)
    }

    func receiveNotices(_ notices: [PeerChangeNotice]) async {
        batches.append(notices)
        changed.signal()
    }

    func usePeers(_ members: [ReplicaSettings.Member]) async {
        self.members = members
        changed.signal()
    }

    func refusedPeer() async {
        refusals += 1
        changed.signal()
    }
}
