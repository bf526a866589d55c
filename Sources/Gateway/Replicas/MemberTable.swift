import Crypto
import Reactor

/// The replicas that this one knows from the store: readings in, changes out, without a store and without a clock.
///
/// A replica stays known for as long as the store is away. It is forgotten when ``absences`` readings in a row lack a valid
/// entry of it: a store that was emptied gets all entries anew before that.
struct MemberTable {
    /// Readings without a valid entry after which a replica is forgotten.
    static let absences = 5
    /// A retry may ask each of them in turn.
    static let maxMembers = 64
    /// An entry that did not change for this long is of a replica that is gone, or of something else.
    static let staleTime: Duration = .seconds(60)
    /// Entries that are removed after one reading.
    private static let maxRemoved = 32

    /// What a reading has changed.
    struct Change: Equatable {
        var joined: [ReplicaSettings.Member] = []
        /// Names.
        var left: [String] = []
        /// Entries that nothing renews.
        var stale: [[UInt8]] = []
        /// Entries that could not be opened, where the reading before had none.
        var unreadable = 0
        /// Another process that runs has this one's name.
        var isNameTaken = false
    }

    private struct Known {
        var member: ReplicaSettings.Member
        var absences = 0
    }

    private struct Seen {
        let text: [UInt8]
        let since: Instant
        /// Whether it was opened, when it was new.
        let wasOpened: Bool
    }

    private let name: String
    private let process: String
    private var known: [String: Known] = [:]
    private var seen: [[UInt8]: Seen] = [:]
    private var hadUnreadable = false

    /// - Parameters:
    ///   - name: of this replica.
    ///   - process: ``MemberEntry/process`` of this one.
    init(name: String, process: String) {
        self.name = name
        self.process = process
    }

    var members: [ReplicaSettings.Member] { known.values.map(\.member).sorted { $0.name < $1.name } }

    /// - Parameters:
    ///   - entries: all that the store has, by name.
    ///   - hasWritten: whether this process has written its own since the store was emptied or the process began.
    mutating func readEntries(
        _ entries: [(name: [UInt8], text: [UInt8])], _ seal: Seal, hasWritten: Bool, at time: UnixTime, _ now: Instant
    ) -> Change {
        var change = Change()
        var found: [String: MemberEntry] = [:]
        var unreadable = 0
        var nextSeen: [[UInt8]: Seen] = [:]
        for (entry, text) in entries {
            let opened = MemberEntry.openText(text, seal, entry: entry, at: time)
            let before = seen[entry].flatMap { $0.text == text ? $0 : nil }
            nextSeen[entry] = before ?? Seen(text: text, since: now, wasOpened: opened != nil)
            if now >= (before?.since ?? now) + MemberTable.staleTime, change.stale.count < MemberTable.maxRemoved {
                change.stale.append(entry)
            }
            guard let opened else {
                // One that was good until its time was over is nothing to speak of.
                if before?.wasOpened != true { unreadable += 1 }
                continue
            }
            if opened.name == name {
                if hasWritten, opened.process != process { change.isNameTaken = true }
            } else if found[opened.name].map({ $0.time < opened.time }) ?? true {
                found[opened.name] = opened
            }
        }
        seen = nextSeen
        if unreadable > 0, !hadUnreadable { change.unreadable = unreadable }
        hadUnreadable = unreadable > 0
        applyFound(found, &change)
        return change
    }

    private mutating func applyFound(_ found: [String: MemberEntry], _ change: inout Change) {
        for (name, before) in known.sorted(by: { $0.key < $1.key }) where found[name] == nil {
            known[name]?.absences += 1
            guard before.absences + 1 >= MemberTable.absences else { continue }
            known[name] = nil
            change.left.append(name)
        }
        for (name, entry) in found.sorted(by: { $0.key < $1.key }) {
            let before = known[name]?.member
            guard before != nil || known.count < MemberTable.maxMembers else { continue }
            known[name] = Known(member: entry.member)
            if before != entry.member { change.joined.append(entry.member) }
        }
    }
}
