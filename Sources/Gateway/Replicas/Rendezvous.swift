import Crypto

/// Rendezvous hashing (highest random weight): an order of replicas that each of them computes alone. A replica that
/// leaves does not change the order of the others.
enum Rendezvous {
    /// - Returns: `names`, by decreasing weight.
    static func orderedNames(_ names: [String], for id: CallID) -> [String] {
        names.map { (name: $0, weight: SHA256.digest(id.bytes + Array($0.utf8))) }
            .sorted { left, right in right.weight.lexicographicallyPrecedes(left.weight) }
            .map(\.name)
    }
}
