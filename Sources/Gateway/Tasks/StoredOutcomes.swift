import Crypto
import Reactor
import Store

/// Outcomes of tasks in the store: who asks for a task whose replica is gone gets what became of it.
///
/// Nothing waits for one that is being written, and one that cannot be is known to its replica alone.
final class StoredOutcomes {
    private let store: any StoreConnection
    private let prefix: String
    private let seal: Seal
    private let loop: Loop

    /// - Parameter prefix: of what Remora has in the store.
    init(in store: any StoreConnection, prefix: String, seal: Seal, on loop: Loop) {
        self.store = store
        self.prefix = prefix
        self.seal = seal
        self.loop = loop
    }

    /// - Parameter lifetime: until the client's id of the task is good no more.
    func writeOutcome(_ outcome: StoredOutcome, of task: CallID, for lifetime: Duration) {
        let entry = StoredOutcome.entryName(of: task, prefix: prefix)
        guard lifetime > .zero,
            let text = outcome.sealedText(seal, entry: entry, until: .now + lifetime + .seconds(1))
        else { return }
        let command = StoreCommand("SET", entry, text, Array("PX".utf8), StoreCommand.milliseconds(lifetime))
        let store = store
        loop.spawn { _ = try? await store.runCommands([command]) }
    }

    /// - Returns: `nil` where there is none, and where the store cannot be asked.
    func readOutcome(of task: CallID) async -> StoredOutcome? {
        let entry = StoredOutcome.entryName(of: task, prefix: prefix)
        guard let replies = try? await store.runCommands([StoreCommand("GET", entry)]),
            case .text(let text)? = replies.first
        else { return nil }
        return StoredOutcome.openText(text, seal, entry: entry, at: .now)
    }
}
