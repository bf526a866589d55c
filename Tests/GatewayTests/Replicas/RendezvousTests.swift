import Testing

@testable import Gateway

@Suite struct RendezvousTests {
    private static let names = ["a", "b", "c", "d", "e"]

    private static func call(_ number: Int) -> CallID {
        CallID { count in (0..<count).map { UInt8(truncatingIfNeeded: number >> (8 * min($0, 7))) } }
    }

    @Test func everybodyFindsTheSame() {
        for number in 0..<200 {
            let order = Rendezvous.orderedNames(Self.names, for: Self.call(number))
            #expect(order.sorted() == Self.names)
            #expect(Rendezvous.orderedNames(Self.names.shuffled(), for: Self.call(number)) == order)
        }
    }

    /// Who is left keeps its place: what one that leaves had is all that moves.
    @Test func whoLeavesChangesNothingElse() {
        for number in 0..<200 {
            let order = Rendezvous.orderedNames(Self.names, for: Self.call(number))
            for gone in Self.names {
                let rest = Rendezvous.orderedNames(Self.names.filter { $0 != gone }, for: Self.call(number))
                #expect(rest == order.filter { $0 != gone })
            }
        }
    }

    @Test func eachHasItsShare() {
        var first: [String: Int] = [:]
        for number in 0..<5000 {
            first[Rendezvous.orderedNames(Self.names, for: Self.call(number))[0], default: 0] += 1
        }
        #expect(Self.names.allSatisfy { (800...1200).contains(first[$0] ?? 0) }, "\(first)")
    }

    @Test func loopsHaveTheirShare() {
        var found: [Int: Int] = [:]
        for number in 0..<4000 {
            found[
                Replicas.takeOverLoop(
                    of: CallID { count in (0..<count).map { UInt8(($0 + number * 7919) & 255) } }, among: 3),
                default: 0] += 1
            #expect(Replicas.takeOverLoop(of: Self.call(number), among: 1) == 0)
        }
        #expect(found.keys.sorted() == [0, 1, 2])
    }
}

@Suite struct CallOwnerTests {
    @Test(arguments: [("a", 0), ("replica-1.example_x", 63), ("", 1)])
    func whatIsWrittenIsRead(_ replica: String, _ loop: Int) throws {
        let owner = CallOwner(replica: replica, loop: loop)
        #expect(try #require(CallOwner(owner.bytes)) == owner)
    }

    @Test(arguments: ["", "a", "a/", "a/b", "a/-1", "a/+1", "a/01", "a/1/2", "a/99999999999999999999", "a/1 "])
    func nothingElseIs(_ text: String) { #expect(CallOwner(Array(text.utf8)) == nil) }
}
