package import Reactor

/// Another loop of this process.
package protocol Sibling: Sendable {
    /// Serves the requests that come on a connection.
    func adoptConnection(_ end: SocketEnd) async
    /// Applies change notices that servers sent to another loop or replica.
    func receiveNotices(_ notices: [PeerChangeNotice]) async
    /// Knows these replicas from now on, beside those of its settings.
    func usePeers(_ members: [ReplicaSettings.Member]) async
    /// Counts a request of another replica that was refused.
    func refusedPeer() async
}
