package import Crypto
internal import Synchronization

/// Where sessions of older clients are: the backend of a forwarded session, and the loop of a session of Remora's own.
/// All loops share it, and it survives reloads. It holds hashes, because ids of sessions are secrets.
package final class SessionAffinity: Sendable {
    /// The least number of forwarded sessions that are remembered; the most is twice as many. Requests of others go to
    /// any backend: one that does not know the session refuses it, and the client begins anew.
    private static let size = 4096

    /// Entries that are used move into the younger half. When it is full, the older half is dropped.
    private struct Halves {
        var young: [KeyedHash: [UInt8]] = [:]
        var old: [KeyedHash: [UInt8]] = [:]
    }

    private let key: HashKey
    private let halves = Mutex(Halves())
    /// An entry for each session of Remora's own.
    private let loops = Mutex<[KeyedHash: Int]>([:])

    package init(key: HashKey) { self.key = key }

    /// The name of the backend that has a session; `nil` if it is not known.
    func backendName(of session: [UInt8]) -> [UInt8]? {
        let hash = key.hash(session)
        return halves.withLock { halves in
            if let name = halves.young[hash] { return name }
            guard let name = halves.old.removeValue(forKey: hash) else { return nil }
            SessionAffinity.keepName(name, of: hash, in: &halves)
            return name
        }
    }

    /// Notes the backend that has opened a session.
    func setBackend(of session: [UInt8], to name: [UInt8]) {
        let hash = key.hash(session)
        halves.withLock { SessionAffinity.keepName(name, of: hash, in: &$0) }
    }

    // MARK: Sessions of Remora's own

    /// The loop that has a session; `nil` if none has it.
    func loopIndex(of session: [UInt8]) -> Int? {
        let hash = key.hash(session)
        return loops.withLock { $0[hash] }
    }

    /// Notes the loop that has opened a session.
    func setLoop(of session: [UInt8], to loop: Int) {
        let hash = key.hash(session)
        loops.withLock { $0[hash] = loop }
    }

    /// Removes a session that has ended.
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

    /// How many forwarded sessions are remembered.
    var count: Int { halves.withLock { $0.young.count + $0.old.count } }
}
