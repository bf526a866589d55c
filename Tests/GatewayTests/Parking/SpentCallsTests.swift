import Crypto
import Testing

@testable import Gateway

@Suite struct SpentCallsTests {
    private let start = UnixTime(seconds: 1000)

    private func id(_ number: Int) -> CallID {
        guard let id = CallID(bytes: (0..<CallID.size).map { UInt8(truncatingIfNeeded: number >> (8 * ($0 % 4))) })
        else {
            fatalError("a size of its own")
        }
        return id
    }

    @Test func remembersUntilNothingCanNameTheCall() {
        var spent = SpentCalls()
        spent.insertCall(id(1), until: start + .seconds(10), at: start)
        spent.insertCall(id(1), until: start + .seconds(20), at: start)
        #expect(spent.contains(id(1)))
        #expect(!spent.contains(id(2)))
        spent.insertCall(id(2), until: start + .seconds(30), at: start + .seconds(9))
        #expect(spent.contains(id(1)))
        spent.insertCall(id(3), until: start + .seconds(30), at: start + .seconds(10))
        #expect(!spent.contains(id(1)))
        #expect(spent.contains(id(2)))
        #expect(spent.count == 2)
        #expect(!spent.hasDropped(since: start))
    }

    @Test func takesAllBeforeForSpentWhereThereAreTooMany() {
        var spent = SpentCalls()
        for number in 0..<20_000 {
            spent.insertCall(id(number), until: start + .seconds(1000), at: start + .seconds(Int64(number / 1000)))
        }
        #expect(spent.count == 16_384)
        #expect(!spent.contains(id(0)))
        #expect(spent.contains(id(19_999)))
        #expect(spent.hasDropped(since: start + .seconds(19)))
        #expect(!spent.hasDropped(since: start + .seconds(20)))
    }
}
