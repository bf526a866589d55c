package import Crypto
package import Reactor
package import Store
package import Telemetry

/// Decides in the store, for all replicas, which loop delivers the answers of a client and goes on with its call. Each loop has one, with
/// a connection of its own.
///
/// A call has one entry, which each step changes by compare-and-set: answers are delivered by the loop that has written their round into
/// it, and by no other. So a replica that others cannot reach delivers nothing to a call that another one took over, and an answer that
/// a replica took with it is not delivered by the next.
package final class Claims {
    /// What came of an attempt to take the answers of a round.
    enum Outcome: Equatable {
        /// They are this loop's, and no other loop has delivered them or will.
        case taken
        /// The call is this loop's, but the answers were taken before, here or by a replica that is gone: they may have been
        /// delivered.
        case takenBefore
        /// The call is another loop's, which may run. That is spelled as ``CallOwner`` has it.
        case held(by: [UInt8])
        /// The store did not say.
        case unknown
    }

    /// Who wants the answers.
    private enum Role {
        case owner
        /// Takes the call over from this owner, whose name the client's `requestState` has.
        case heir(of: [UInt8])
    }

    /// An entry that changes this often between two commands is an attack, or a fault.
    private static let maxAttempts = 4
    /// Between two lines of the log about answers that were refused.
    private static let silence: Duration = .seconds(30)
    /// Between two signs of life on a connection that answers may not use for hours. What forwards connections forgets idle ones
    /// after a few minutes.
    private static let signInterval: Duration = .seconds(30)

    let store: any StoreConnection
    let prefix: String
    private let owner: [UInt8]
    private let process: String
    let seal: Seal
    private let loop: Loop
    private let log: Log
    private let timer: Deadline
    private var quietUntil: Instant

    /// - Parameters:
    ///   - prefix: of what Remora has in the store.
    ///   - owner: this loop, as ``CallOwner`` spells it.
    ///   - process: as the replica's entry in the store names it.
    package init(
        _ store: any StoreConnection, prefix: String, owner: [UInt8], process: String, seal: Seal, on loop: Loop,
        log: Log
    ) {
        self.store = store
        self.prefix = prefix
        self.owner = owner
        self.process = process
        self.seal = seal
        self.loop = loop
        self.log = log
        timer = Deadline(on: loop)
        quietUntil = loop.now
        timer.onExpiry = { [unowned self] in giveSign() }
    }

    package func startClaiming() {
        store.startConnecting()
        timer.set(after: Claims.signInterval)
    }

    /// Ends the connection: nothing can be claimed any more.
    package func endClaiming() {
        timer.set(nil)
        store.closeStore()
    }

    private func giveSign() {
        timer.set(after: Claims.signInterval)
        let store = store
        loop.spawn { _ = try? await store.runCommands([StoreCommand("PING")]) }
    }

    /// The answers of a client came to the loop that has its call, and that asked for them.
    ///
    /// - Parameters:
    ///   - round: how often the client was asked.
    ///   - lifetime: at least as long as what the client carries is good.
    func takeAnswers(of call: CallID, round: Int, for lifetime: Duration) async -> Outcome {
        await takeRound(round, of: call, as: .owner, for: lifetime)
    }

    /// The answers of a client came to a loop that takes its call over, because the owner was not reached or does not have it.
    ///
    /// - Parameter owner: as the client's `requestState` names it.
    func takeOverCall(_ call: CallID, round: Int, from owner: [UInt8], for lifetime: Duration) async -> Outcome {
        await takeRound(round, of: call, as: .heir(of: owner), for: lifetime)
    }

    private func takeRound(_ round: Int, of call: CallID, as role: Role, for lifetime: Duration) async -> Outcome {
        let entry = Claim.entryName(of: call, prefix: prefix)
        do throws(StoreFailure) {
            return try await takeEntry(entry, round: round, as: role, for: lifetime)
        } catch {
            noteFailure(error.reason)
            return .unknown
        }
    }

    private func takeEntry(
        _ entry: [UInt8], round: Int, as role: Role, for lifetime: Duration
    ) async throws(StoreFailure) -> Outcome {
        var expected: [UInt8]?
        var outcome = Outcome.taken
        var holder: [UInt8] = []
        for _ in 0..<Claims.maxAttempts {
            let now = UnixTime.now
            // The store ends it. A clock that is ahead must not find it too old before that.
            let claim = Claim(owner: owner, process: process, round: round, time: now)
                .sealedText(seal, entry: entry, until: now + lifetime + lifetime)
            let command = StoreCommand.compareAndSet(entry, expecting: expected, to: claim, for: lifetime)
            guard case .text(let text)? = try await store.runCommands([command]).first else {
                throw StoreFailure.malformed
            }
            if text == claim { return outcome }
            guard let found = Claim.openText(text, seal, entry: entry, at: .now) else {
                noteFailure("its entry of a call cannot be read: check replicas.keys, and who else writes to the store")
                return .unknown
            }
            switch try await judgeClaim(found, round, role) {
            case .taken: outcome = .taken
            case .takenBefore where isOwn(found): return .takenBefore
            case .takenBefore: outcome = .takenBefore
            case .held, .unknown: return .held(by: found.owner)
            }
            expected = text
            holder = found.owner
        }
        return .held(by: holder)
    }

    private func isOwn(_ claim: Claim) -> Bool { claim.owner == owner && claim.process == process }

    /// What an attempt may come to, in the place of a claim that is there.
    private func judgeClaim(_ claim: Claim, _ round: Int, _ role: Role) async throws(StoreFailure) -> Outcome {
        if isOwn(claim) { return claim.round < round ? .taken : .takenBefore }
        // Another one goes on, and this loop was not reached when it began.
        guard case .heir(let former) = role else { return .held(by: claim.owner) }
        // The owner has asked once more since, and these answers never came to it.
        if claim.round < round, claim.owner == former { return .taken }
        return try await isGone(claim) ? .takenBefore : .held(by: claim.owner)
    }

    /// Whether the process of a claim has ended, as far as its entry among the replicas says. One that cannot be reached may run.
    private func isGone(_ claim: Claim) async throws(StoreFailure) -> Bool {
        guard claim.process != process, let name = CallOwner(claim.owner)?.replica else { return false }
        let replies = try await store.runCommands([StoreCommand("HGETALL", Membership.key(prefix: prefix))])
        guard let found = replies.first?.pairs else { throw .malformed }
        let now = UnixTime.now
        let entries = found.compactMap { MemberEntry.openText($0.text, seal, entry: $0.name, at: now) }
            .filter { $0.name == name }
        // A name is one process's at a time: another one has it, where this one has ended.
        if let latest = entries.max(by: { $0.time < $1.time }) { return latest.process != claim.process }
        // Its entry was good for so long, and may have been lost with all others a moment ago.
        return now >= claim.time + Membership.lifetime
    }

    /// Logs that answers of clients are refused.
    private func noteFailure(_ reason: String) {
        guard loop.now >= quietUntil else { return }
        quietUntil = loop.now + Claims.silence
        log.write(.warning, "answers_refused") { line in
            line.field("reason", reason)
            line.field("advice", "clients that answer questions are told to come again: check the store")
        }
    }
}
