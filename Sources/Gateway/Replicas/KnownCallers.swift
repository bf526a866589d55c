import Crypto

/// Maps the names that other replicas give callers to the callers that one loop knows.
final class KnownCallers {
    private let callers: CallerRules
    private let seal: Seal
    /// The callers of ``version``, by their names under ``key``.
    private var table: [[UInt8]: KeyedHash] = [:]
    private var key: [UInt8] = []
    private var version = -1

    init(_ callers: CallerRules, seal: Seal) {
        self.callers = callers
        self.seal = seal
    }

    /// `nil`: the caller has sent nothing to this loop, or nothing lately.
    func knownPrincipal(_ name: [UInt8]) -> KeyedHash? {
        let key = Array(name.dropLast(Seal.nameSize - KeyRing.idSize))
        if version != callers.version || self.key != key {
            let known = callers.remembered
            guard let names = seal.callerNames(of: known.map(\.value), like: name) else { return nil }
            table = Dictionary(zip(names, known.map(\.key))) { first, _ in first }
            (self.key, version) = (key, callers.version)
        }
        return table[name]
    }
}
