package import HTTPWire
package import Reactor

/// The name of this replica, and the other replicas.
package struct ReplicaSettings: Sendable {
    package struct Member: Sendable, Equatable {
        package let name: String
        package let endpoint: Endpoint

        package init(name: String, endpoint: Endpoint) {
            self.name = name
            self.endpoint = endpoint
        }
    }

    /// Unique among the processes that may share a key ring; without a slash.
    package let name: String
    package let peers: [Member]
    /// Whether others may become known while it runs, from a store.
    package let findsOthers: Bool
    /// Whether change notices are sent to the peers.
    package let sharesChangeNotices: Bool
    /// The longest that any call may take.
    package let requestTimeout: Duration
    /// How long a response to a retry may pause. The owner of a call sends keep-alives more often.
    package let silence: Duration
    package let head: HTTPLimits

    package init(
        name: String, peers: [Member], findsOthers: Bool = false, sharesChangeNotices: Bool, requestTimeout: Duration,
        silence: Duration,
        head: HTTPLimits
    ) {
        self.name = name
        self.peers = peers
        self.findsOthers = findsOthers
        self.sharesChangeNotices = sharesChangeNotices
        self.requestTimeout = requestTimeout
        self.silence = silence
        self.head = head
    }
}
