import Crypto
import JSONText
import Translation

/// How a task ended, as the store has it: sealed for the name of its entry.
struct StoredOutcome {
    private enum Limit {
        static let version: UInt8 = 1
        /// Bytes of all of it. What is larger is kept by its replica alone: a store is no place for large things, and has to be
        /// asked for it as a whole.
        static let all = 40_000
        static let time = 64
        static let message = 4096
    }

    let outcome: TaskOutcome
    /// A JSON string.
    let lastUpdatedAt: [UInt8]
    /// A JSON string; empty where there is none.
    let message: [UInt8]

    /// The name of the entry of a task.
    static func entryName(of task: CallID, prefix: String) -> [UInt8] { task.entryName("task", prefix: prefix) }

    /// - Returns: nil for one that is too large.
    func sealedText(_ seal: Seal, entry: [UInt8], until expiry: UnixTime) -> [UInt8]? {
        var out = FieldWriter()
        out.integer(Limit.version)
        guard outcome.size <= Limit.all, lastUpdatedAt.count <= Limit.time else { return nil }
        out.bytes(lastUpdatedAt)
        out.bytes(message.count <= Limit.message ? message : [])
        switch outcome {
        case .completed(let text):
            out.integer(UInt8(0))
            var bytes: [UInt8] = []
            text.append(to: &bytes)
            out.fixed(bytes)
        case .failed(let text):
            out.integer(UInt8(1))
            out.fixed(text)
        case .cancelled:
            out.integer(UInt8(2))
        }
        return seal.sealPayload(out.text, for: .outcome, caller: entry, until: expiry)
    }

    /// - Returns: `nil` if no holder of the ring sealed it for this entry, or its time is over.
    static func openText(_ text: [UInt8], _ seal: Seal, entry: [UInt8], at now: UnixTime) -> StoredOutcome? {
        guard let payload = try? seal.openText(text, for: .outcome, caller: entry, at: now) else { return nil }
        var reader = FieldReader(payload)
        guard reader.integer(UInt8.self) == Limit.version, let time = reader.bytes(atMost: Limit.time),
            let message = reader.bytes(atMost: Limit.message), let kind = reader.integer(UInt8.self),
            let rest = reader.rest(atMost: Limit.all)
        else { return nil }
        let outcome: TaskOutcome
        switch kind {
        case 0: outcome = .completed(SplicedText(rest))
        case 1: outcome = .failed(rest)
        case 2 where rest.isEmpty: outcome = .cancelled
        default: return nil
        }
        return StoredOutcome(outcome: outcome, lastUpdatedAt: time, message: message)
    }
}
