import Testing

@testable import Reactor

@Suite struct ReadSizeTests {
    private static let largest = Loop.receiveBufferSize

    /// The sizes after reads that took so many microseconds each, full ones unless `count` says otherwise.
    private static func sizes(after times: [Int64], count: Int? = nil) -> [Int] {
        var size = ReadSize()
        var clock = Instant(nanoseconds: 1_000_000)
        return times.map { time in
            let start = clock
            clock.nanoseconds += time * 1000
            size.adapt(to: count ?? size.bytes, from: start, to: clock)
            return size.bytes
        }
    }

    @Test func whoTakesLongIsLentLess() {
        let sizes = Self.sizes(after: [99, 101, 1500, 101, 101, 101, 5000])
        #expect(sizes == [65536, 32768, 16384, 8192, 4096, 4096, 4096])
    }

    @Test func whoIsQuickForLongIsLentMore() {
        let slow = [Int64](repeating: 1000, count: 4)
        let quick = [Int64](repeating: 24, count: 7)
        #expect(Self.sizes(after: slow + quick).last == ReadSize.least)
        #expect(Self.sizes(after: slow + quick + [24]).last == 2 * ReadSize.least)
        // In a row.
        #expect(Self.sizes(after: slow + quick + [26, 24]).last == ReadSize.least)
        #expect(Self.sizes(after: slow + quick + [101, 24]).last == ReadSize.least)
        #expect(Self.sizes(after: slow + [Int64](repeating: 1, count: 32)).last == Self.largest)
        #expect(Self.sizes(after: [Int64](repeating: 1, count: 100)).last == Self.largest)
    }

    /// Between both it stays, so that a reader whose time goes with the bytes comes to rest.
    @Test func itComesToRest() {
        let nanoseconds: Int64 = 23
        var size = ReadSize()
        var seen: [Int] = []
        for _ in 0..<200 {
            let end = Instant(nanoseconds: Int64(size.bytes) * nanoseconds)
            size.adapt(to: size.bytes, from: Instant(nanoseconds: 0), to: end)
            seen.append(size.bytes)
        }
        #expect(Set(seen.dropFirst(5)) == [4096])
    }

    /// What comes in small reads says nothing of large ones.
    @Test func aReadThatIsNotFullIsNoReasonForMore() {
        let sizes = Self.sizes(after: [1000] + [Int64](repeating: 1, count: 100), count: 5000)
        #expect(sizes.last == Self.largest / 2)
    }
}
