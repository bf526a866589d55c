import Crypto

/// Which replica is to have something, in an order that all of them find without asking each other, and in which a
/// replica that leaves changes nothing among the others (highest random weight).
enum Rendezvous {
    /// - Returns: `names`, the first choice first.
    static func order(_ names: [String], for id: CallID) -> [String] {
        names.map { (name: $0, weight: SHA256.digest(id.bytes + Array($0.utf8))) }
            .sorted { left, right in right.weight.lexicographicallyPrecedes(left.weight) }
            .map(\.name)
    }
}
