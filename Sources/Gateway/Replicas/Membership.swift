package import Crypto
package import Reactor
package import Store
package import Telemetry

/// Says in the store where this replica is reached, reads there where the others are, and tells all loops.
///
/// There is one in a process. No call waits for it.
package final class Membership {
    /// Between two readings, and between two renewals.
    private static let interval: Duration = .seconds(3)
    /// How long an entry is good, and how long the store keeps the entries of all. Clocks may differ by half of it.
    static let lifetime: Duration = .seconds(30)
    /// Between two lines about a name that another process has.
    private static let silence: Duration = .seconds(60)

    private enum State { case idle, reading, ended }

    private let store: Store
    private let key: [UInt8]
    private let own: ReplicaSettings.Member
    /// ``MemberEntry/process``.
    private let process: String
    private let seal: Seal
    private let loop: Loop
    private let workers: [any Sibling]
    private let log: Log
    private let timer: Deadline
    private var table: MemberTable
    private var state = State.idle
    private var hasWritten = false
    private var quietUntil: Instant

    /// - Parameters:
    ///   - prefix: of what Remora has in the store.
    ///   - own: this replica, by its name and where others reach it.
    ///   - process: made at the start of this one, at random: two with one name are told apart by it.
    ///   - workers: all loops of the process.
    package init(
        _ store: Store, prefix: String, own: ReplicaSettings.Member, process: String, seal: Seal,
        workers: [any Sibling], on loop: Loop, log: Log
    ) {
        self.store = store
        key = Membership.key(prefix: prefix)
        self.process = process
        self.own = own
        self.seal = seal
        self.loop = loop
        self.workers = workers
        self.log = log
        timer = Deadline(on: loop)
        table = MemberTable(name: own.name, process: process)
        quietUntil = loop.now
        timer.onExpiry = { [unowned self] in beginRound() }
    }

    /// Where the store has the entries of all replicas.
    static func key(prefix: String) -> [UInt8] { Array("\(prefix)replicas".utf8) }

    package func startSharing() {
        store.user = self
        store.startConnecting()
    }

    /// Removes its own entry, without waiting for it, and ends the connection.
    package func endSharing() {
        state = .ended
        timer.set(nil)
        store.sendLast(StoreCommand("HDEL", key, MemberEntry.entryName(of: own.name, seal)))
        store.closeStore()
    }

    private func beginRound() {
        guard state == .idle else { return }
        state = .reading
        loop.spawn {
            await self.shareOnce()
            if self.state == .ended { return }
            self.state = .idle
            // It says when it is ready again.
            if self.store.isReady { self.timer.set(after: Membership.interval) }
        }
    }

    /// Reads, and writes its own entry in the same trip.
    private func shareOnce() async {
        // No other machine reaches a Unix socket.
        guard case .host(let host, let port) = own.endpoint else { return }
        let now = UnixTime.now
        let entry = MemberEntry.entryName(of: own.name, seal)
        let text = MemberEntry(name: own.name, host: host, port: port, process: process, time: now.seconds)
            .sealedText(seal, entry: entry, until: now + Membership.lifetime)
        let lifetime = Array("\(Membership.lifetime.components.seconds)".utf8)
        // What was read without an end is a failure of the store, which the connection tells.
        guard
            let replies = try? await store.runCommands([
                StoreCommand("HGETALL", key), StoreCommand("HSET", key, entry, text),
                StoreCommand("EXPIRE", key, lifetime),
            ]), let entries = replies.first?.pairs
        else {
            hasWritten = false
            return
        }
        guard state != .ended else { return }
        await applyEntries(entries)
        hasWritten = true
    }

    private func applyEntries(_ entries: [(name: [UInt8], text: [UInt8])]) async {
        let change = table.readEntries(entries, seal, hasWritten: hasWritten, at: .now, loop.now)
        logChange(change)
        if !change.joined.isEmpty || !change.left.isEmpty {
            for worker in workers { await worker.usePeers(table.members) }
        }
        guard !change.stale.isEmpty else { return }
        _ = try? await store.runCommands([StoreCommand("HDEL", [key] + change.stale)])
    }

    private func logChange(_ change: MemberTable.Change) {
        for member in change.joined {
            guard case .host(let host, let port) = member.endpoint else { continue }
            log.write(.info, "replica_joined") { line in
                line.field("replica", member.name)
                line.field("address", host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)")
            }
        }
        for name in change.left { log.write(.info, "replica_left") { $0.field("replica", name) } }
        if change.unreadable > 0 {
            log.write(.warning, "store_entries_unreadable") { line in
                line.field("count", change.unreadable)
                line.field(
                    "advice",
                    "check replicas.keys, listen.path and the clocks of all replicas, and who else writes to "
                        + "the store with this store.prefix")
            }
        }
        if change.isNameTaken, loop.now >= quietUntil {
            quietUntil = loop.now + Membership.silence
            log.write(.warning, "replica_id_taken") { line in
                line.field("replica", own.name)
                line.field("advice", "another process has this replicas.id: give each its own")
            }
        }
    }
}

extension Membership: StoreUser {
    package func storeBecameReady() { beginRound() }
}
