import Crypto
import MCP
import Reactor
import Telemetry
import Translation

/// Tells the log what becomes of the sessions of one loop.
///
/// A session that is opened has a line: a request caused it, which has a line too. Ends have no request: a server that starts anew
/// ends them all at once. What happened to any number of them within a second is one line, with how many callers it concerns.
final class SessionJournal {
    private static let window: Duration = .seconds(1)

    private struct Kind: Hashable {
        let end: SessionEnd
        /// Of the copy of the server.
        let backend: String
    }

    private struct Note {
        var sessions = 0
        var callers: Set<KeyedHash> = []
    }

    private let log: Log
    private var notes: [Kind: Note] = [:]
    private let deadline: Deadline

    init(_ log: Log, on loop: Loop) {
        self.log = log
        deadline = Deadline(on: loop)
        // The journal has the deadline, which ends with it.
        deadline.onExpiry = { [unowned self] in writeNotes() }
    }

    func recordOpening(_ session: LegacySession, for caller: KeyedHash, in time: Duration) {
        let (handshake, backend) = (session.handshake, session.server.label)
        log.write(.info, session.wasJoined ? "session_joined" : "session_opened") { line in
            line.field("backend", backend)
            line.field("revision", handshake.revision.name)
            let (name, version) = handshake.serverInfo.nameAndVersion
            line.field("server", name)
            line.field("server_version", version)
            line.field("ms", milliseconds: time)
            line.field("principal", caller.short)
        }
    }

    /// A session has ended, or will with its last call.
    ///
    /// - Parameter backend: the label of the copy of the server.
    func recordEnd(at backend: String, of caller: KeyedHash, _ end: SessionEnd) {
        let kind = Kind(end: end, backend: backend)
        notes[kind, default: Note()].sessions += 1
        notes[kind, default: Note()].callers.insert(caller)
        if !deadline.isSet { deadline.set(after: SessionJournal.window) }
    }

    /// Writes what has not been told yet.
    func writeNotes() {
        deadline.set(nil)
        for (kind, note) in notes {
            switch kind.end {
            case .lost(let loss): writeLine(.warning, "session_lost", kind, note) { $0.field("reason", loss.name) }
            case .expired: writeLine(.info, "session_expired", kind, note)
            case .evicted: writeLine(.info, "session_evicted", kind, note)
            }
        }
        notes = [:]
    }

    private func writeLine(
        _ level: LogLevel, _ event: StaticString, _ kind: Kind, _ note: Note,
        _ fields: (inout LogLine) -> Void = { _ in }
    ) {
        log.write(level, event) { line in
            fields(&line)
            line.field("backend", kind.backend)
            line.field("sessions", note.sessions)
            line.field("callers", note.callers.count)
            if note.callers.count == 1, let caller = note.callers.first { line.field("principal", caller.short) }
        }
    }
}
