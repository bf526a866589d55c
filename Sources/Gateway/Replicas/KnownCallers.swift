import Crypto

/// Finds out which of the callers that one loop knows is meant by a name that another replica gave.
final class KnownCallers {
    private let callers: CallerRules
    private let seal: Seal
    /// By name, for names made with one key; of one version of what is known.
    private var table: [[UInt8]: KeyedHash] = [:]
    private var key: [UInt8] = []
    private var version = -1

    init(_ callers: CallerRules, seal: Seal) {
        self.callers = callers
        self.seal = seal
    }

    /// Nil for a caller who was not here, or not lately.
    func principal(_ name: [UInt8]) -> KeyedHash? {
        let key = Array(name.dropLast(Seal.nameSize - KeyRing.idSize))
        if version != callers.version || self.key != key {
            let known = callers.remembered
            guard let names = seal.names(of: known.map(\.value), like: name) else { return nil }
            table = Dictionary(zip(names, known.map(\.key))) { first, _ in first }
            (self.key, version) = (key, callers.version)
        }
        return table[name]
    }
}
