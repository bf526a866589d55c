package import Crypto
internal import Synchronization

/// Where the session of an older client is: which copy of the server has one that is passed through, and which loop has one that
/// is Remora's. The former is learnt from the answers that hand out sessions. It is shared by all loops, and kept over reloads. It
/// holds hashes: ids of sessions are secrets.
package final class SessionAffinity: Sendable {
    /// Sessions that are remembered at least; twice as many at most. Of the rest, it has to be guessed where they are: a
    /// copy that does not know one says so, and its client begins anew.
    private static let size = 4096

    /// Two halves: what is asked for moves into the younger one, and when that is full, the older one is forgotten.
    private struct Halves {
        var young: [KeyedHash: [UInt8]] = [:]
        var old: [KeyedHash: [UInt8]] = [:]
    }

    private let key: HashKey
    private let halves = Mutex(Halves())
    /// As many as there are sessions.
    private let loops = Mutex<[KeyedHash: Int]>([:])

    package init(key: HashKey) { self.key = key }

    /// The name of the copy that has a session; nil where that is not known.
    func backendName(of session: [UInt8]) -> [UInt8]? {
        let hash = key.hash(session)
        return halves.withLock { halves in
            if let name = halves.young[hash] { return name }
            guard let name = halves.old.removeValue(forKey: hash) else { return nil }
            SessionAffinity.keepName(name, of: hash, in: &halves)
            return name
        }
    }

    /// A copy has handed out a session.
    func setBackend(of session: [UInt8], to name: [UInt8]) {
        let hash = key.hash(session)
        halves.withLock { SessionAffinity.keepName(name, of: hash, in: &$0) }
    }

    // MARK: Sessions of Remora's

    /// The loop that has a session; nil where none has.
    func loop(of session: [UInt8]) -> Int? {
        let hash = key.hash(session)
        return loops.withLock { $0[hash] }
    }

    /// A loop has opened a session.
    func setLoop(of session: [UInt8], to loop: Int) {
        let hash = key.hash(session)
        loops.withLock { $0[hash] = loop }
    }

    /// The session has ended.
    func removeLoop(of session: [UInt8]) {
        let hash = key.hash(session)
        loops.withLock { $0[hash] = nil }
    }

    private static func keepName(_ name: [UInt8], of hash: KeyedHash, in halves: inout Halves) {
        if halves.young.count >= size {
            halves.old = halves.young
            halves.young = [:]
        }
        halves.young[hash] = name
    }

    /// How many are remembered.
    var count: Int { halves.withLock { $0.young.count + $0.old.count } }
}
