import Crypto
import Reactor
import Testing

@testable import Gateway

/// Who is known from the store, with clocks that are moved by hand.
@Suite struct MemberTableTests {
    private static let ring = KeyRing([[UInt8](repeating: 1, count: KeyRing.keySize)])
    private static let seal = Seal(ring: ring, deployment: "d")
    private static let start = UnixTime(seconds: 1_800_000_000)

    /// A table of replica `a`, with the store that it reads.
    private struct Play {
        var table = MemberTable(name: "a", process: "p")
        var store: [[UInt8]: [UInt8]] = [:]
        var seconds: Int64 = 0
        var seal = MemberTableTests.seal

        var time: UnixTime { MemberTableTests.start + .seconds(seconds) }

        /// A replica writes its entry, good for 30 s.
        mutating func write(_ name: String, port: UInt16 = 1, process: String = "q", by seal: Seal? = nil) {
            let seal = seal ?? self.seal
            let entry = MemberEntry.entryName(of: name, seal)
            store[entry] = MemberEntry(name: name, host: "h", port: port, process: process, time: time.seconds)
                .sealedText(seal, entry: entry, until: time + .seconds(30))
        }

        mutating func read(hasWritten: Bool = true) -> MemberTable.Change {
            table.readEntries(
                store.map { (name: $0.key, text: $0.value) }, seal, hasWritten: hasWritten, at: time,
                Instant(nanoseconds: seconds * 1_000_000_000))
        }

        var names: [String] { table.members.map(\.name) }
    }

    private static func member(_ name: String, port: UInt16 = 1) -> ReplicaSettings.Member {
        ReplicaSettings.Member(name: name, endpoint: .host("h", port: port))
    }

    @Test func othersAreKnownAndItselfIsNot() {
        var play = Play()
        for name in ["a", "c", "b"] { play.write(name, process: name == "a" ? "p" : "q") }
        #expect(play.read() == MemberTable.Change(joined: [Self.member("b"), Self.member("c")]))
        #expect(play.read() == MemberTable.Change())
        #expect(play.table.members == [Self.member("b"), Self.member("c")])
    }

    @Test func anotherAddressIsTakenOver() {
        var play = Play()
        play.write("b")
        _ = play.read()
        play.write("b", port: 2)
        #expect(play.read().joined == [Self.member("b", port: 2)])
        #expect(play.table.members == [Self.member("b", port: 2)])
    }

    @Test func aReplicaIsForgottenByReadingsAlone() {
        var play = Play()
        play.write("b")
        _ = play.read()
        // A store that was away for a day, and comes back empty.
        play.seconds += 86_400
        play.store = [:]
        for _ in 1..<MemberTable.absences { #expect(play.read() == MemberTable.Change()) }
        #expect(play.names == ["b"])
        // It comes back in time.
        play.write("b")
        #expect(play.read() == MemberTable.Change())
        play.store = [:]
        for _ in 1..<MemberTable.absences { #expect(play.read() == MemberTable.Change()) }
        #expect(play.read().left == ["b"])
        #expect(play.names.isEmpty)
    }

    @Test func anEntryWhoseTimeIsOverIsAnAbsenceAndNothingToSpeakOf() {
        var play = Play()
        play.write("b")
        _ = play.read()
        play.seconds = 29
        #expect(play.read() == MemberTable.Change())
        var left: [String] = []
        for _ in 0..<MemberTable.absences {
            play.seconds += 3
            let change = play.read()
            #expect(change.unreadable == 0)
            left += change.left
        }
        #expect(left == ["b"])
    }

    @Test func whatNothingRenewsIsRemoved() {
        var play = Play()
        play.write("b")
        play.store[[0x78]] = [0x79]
        _ = play.read()
        let removed = [MemberEntry.entryName(of: "b", Self.seal), [0x78]]
        play.seconds = 59
        play.write("c")
        #expect(play.read().stale.isEmpty)
        play.seconds = 60
        #expect(Set(play.read().stale) == Set(removed))
        play.seconds = 118
        play.write("c")
        play.store = play.store.filter { !removed.contains($0.key) }
        #expect(play.read().stale.isEmpty)
    }

    @Test func whatCannotBeOpenedIsPassedOverAndToldOnce() {
        var play = Play()
        play.write("b")
        play.write("c", by: Seal(ring: KeyRing([[UInt8](repeating: 2, count: KeyRing.keySize)]), deployment: "d"))
        play.write("e", by: Seal(ring: Self.ring, deployment: "another"))
        play.store[[]] = []
        play.store[[0xFF]] = [UInt8](repeating: 0xFF, count: 100_000)
        #expect(play.read() == MemberTable.Change(joined: [Self.member("b")], unreadable: 4))
        #expect(play.read() == MemberTable.Change())
        play.store = [:]
        play.write("b")
        #expect(play.read() == MemberTable.Change())
        play.store[[]] = []
        #expect(play.read().unreadable == 1)
    }

    /// Who can write to the store, and has no key.
    @Test func anEntryUnderAnotherNameIsNone() throws {
        var play = Play()
        play.write("b")
        let text = try #require(play.store.values.first)
        play.store = [MemberEntry.entryName(of: "c", Self.seal): text]
        #expect(play.read() == MemberTable.Change(unreadable: 1))
    }

    @Test func ringsThatAreBeingChangedAgree() {
        let keys = [[UInt8](repeating: 1, count: KeyRing.keySize), [UInt8](repeating: 2, count: KeyRing.keySize)]
        var play = Play(seal: Seal(ring: KeyRing(keys), deployment: "d"))
        play.write("b", by: Seal(ring: KeyRing(keys.reversed()), deployment: "d"))
        #expect(play.read().joined == [Self.member("b")])
        // Then it has another key first and another address: two entries, of which the later one counts.
        play.seconds = 1
        play.write("b", port: 2, by: play.seal)
        #expect(play.store.count == 2)
        #expect(play.read().joined == [Self.member("b", port: 2)])
        for _ in 0..<5 { #expect(play.read() == MemberTable.Change()) }
    }

    @Test func anotherProcessWithItsNameIsFound() {
        var play = Play()
        // What it left when it was killed, before it has written for the first time.
        play.write("a", process: "before")
        #expect(play.read(hasWritten: false) == MemberTable.Change())
        play.write("a", process: "p")
        #expect(!play.read().isNameTaken)
        play.write("a", process: "other")
        #expect(play.read().isNameTaken)
        #expect(play.names.isEmpty)
    }

    @Test func thereIsABound() {
        var play = Play()
        for number in 0..<200 { play.write("r\(number)") }
        #expect(play.read().joined.count == MemberTable.maxMembers)
        #expect(play.read() == MemberTable.Change())
    }

    @Test(arguments: [
        "1\nb\nh\n1\nq\n1\n", "2\nb\nh\n1\nq\n1", "1\nb/c\nh\n1\nq\n1", "1\n\nh\n1\nq\n1", "1\nb\nh h\n1\nq\n1",
        "1\nb\n\n1\nq\n1", "1\nb\nh\n0\nq\n1", "1\nb\nh\n65536\nq\n1", "1\nb\nh\n-1\nq\n1", "1\nb\nh\n1\nq\nx",
        "1\nb\nh\n1\nq", "", "\u{1F600}",
    ])
    func whatIsSealedIsLookedAtToo(payload: String) {
        let entry = MemberEntry.entryName(of: "b", Self.seal)
        let text = Self.seal.sealPayload(
            Array(payload.utf8), for: .member, caller: entry, until: Self.start + .seconds(30))
        #expect(MemberEntry.openText(text, Self.seal, entry: entry, at: Self.start) == nil)
    }

    @Test func whatOthersSealIsNoEntry() {
        let entry = MemberEntry.entryName(of: "b", Self.seal)
        let text = Self.seal.sealPayload(
            Array("1\nb\nh\n1\nq\n1".utf8), for: .peer, caller: entry, until: Self.start + .seconds(30))
        #expect(MemberEntry.openText(text, Self.seal, entry: entry, at: Self.start) == nil)
    }
}
