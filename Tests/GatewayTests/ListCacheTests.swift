import Reactor
import Testing

@testable import Gateway

/// Every decision, with a clock that the test moves.
@Suite struct ListCacheTests {
    private typealias Cache = ListCache<String, String>

    private static func at(_ seconds: Int64) -> Instant { Instant(nanoseconds: seconds * 1_000_000_000) }

    private func cache(ttl: Int = 30, count: Int = 3, size: Int = 100) -> Cache {
        Cache(ttl: .seconds(ttl), limits: Cache.Limits(count: count, size: size))
    }

    private struct Unexpected: Error { let what: String }

    /// What `request` says, in words.
    private func ask(_ key: String, _ cache: inout Cache, at seconds: Int64) -> String {
        switch cache.request(key, at: Self.at(seconds)) {
        case .kept(let value, let until): "\(value) until \(until.nanoseconds / 1_000_000_000)"
        case .join(let id): "join \(id)"
        case .read(let id): "read \(id)"
        }
    }

    private func keep(_ key: String, _ cache: inout Cache, at seconds: Int64, size: Int = 1) throws {
        guard case .read(let id) = cache.request(key, at: Self.at(seconds)) else { throw Unexpected(what: key) }
        _ = cache.finishReading(id, with: key, size: size, isKept: true, at: Self.at(seconds))
    }

    // MARK: One reading

    @Test func manyThatAskCauseOneReading() {
        var cache = cache()
        #expect(ask("a", &cache, at: 0) == "read 1")
        for second in 0..<50 { #expect(ask("a", &cache, at: Int64(second)) == "join 1") }
        #expect(ask("b", &cache, at: 1) == "read 2", "another list is read on its own")
        #expect(cache.finishReading(1, with: "list", size: 1, isKept: true, at: Self.at(50)) == Self.at(80))
        #expect(ask("a", &cache, at: 50) == "list until 80")
        #expect(ask("b", &cache, at: 50) == "join 2")
    }

    @Test func aFailureIsNotKept() {
        var cache = cache()
        #expect(ask("a", &cache, at: 0) == "read 1")
        cache.failReading(1)
        #expect(ask("a", &cache, at: 0) == "read 2")
        #expect(cache.count == 0 && cache.readingCount == 1)
    }

    // MARK: Freshness

    @Test func itIsFreshUntilItsEndAndNotThen() throws {
        var cache = cache()
        try keep("a", &cache, at: 0)
        #expect(ask("a", &cache, at: 29) == "a until 30")
        #expect(ask("a", &cache, at: 30) == "read 2")
        #expect(cache.count == 0 && cache.size == 0, "what is stale is gone at once")
    }

    @Test func aTimeOfZeroKeepsNothingAndSharesAllTheSame() {
        var cache = cache(ttl: 0)
        #expect(ask("a", &cache, at: 5) == "read 1")
        #expect(ask("a", &cache, at: 5) == "join 1")
        #expect(cache.finishReading(1, with: "list", size: 1, isKept: true, at: Self.at(6)) == Self.at(6))
        #expect(cache.count == 0)
        #expect(ask("a", &cache, at: 6) == "read 2")
    }

    @Test func whatMayNotBeKeptIsFreshForThoseWhoWait() {
        var cache = cache()
        #expect(ask("a", &cache, at: 0) == "read 1")
        #expect(cache.finishReading(1, with: "list", size: 1, isKept: false, at: Self.at(1)) == Self.at(31))
        #expect(ask("a", &cache, at: 1) == "read 2")
    }

    // MARK: Changes

    @Test func aChangeDropsWhatIsKept() throws {
        var cache = cache()
        try keep("a", &cache, at: 0)
        try keep("b", &cache, at: 0)
        cache.invalidateList("a")
        #expect(ask("a", &cache, at: 1) == "read 3")
        #expect(ask("b", &cache, at: 1) == "b until 30")
    }

    @Test func aReadingThatAChangeOvertakesIsNotKept() {
        var cache = cache()
        #expect(ask("a", &cache, at: 0) == "read 1")
        cache.invalidateList("a")
        #expect(ask("a", &cache, at: 1) == "read 2", "who comes after the change gets what is after it")
        #expect(ask("a", &cache, at: 1) == "join 2")
        #expect(cache.finishReading(1, with: "old", size: 1, isKept: true, at: Self.at(2)) == Self.at(2))
        #expect(ask("a", &cache, at: 2) == "join 2", "the end of the old one leaves the new one alone")
        #expect(cache.finishReading(2, with: "new", size: 1, isKept: true, at: Self.at(3)) == Self.at(33))
        #expect(ask("a", &cache, at: 3) == "new until 33")
    }

    @Test func anOldReadingThatEndsLastDoesNotReplaceTheNewOne() {
        var cache = cache()
        #expect(ask("a", &cache, at: 0) == "read 1")
        cache.invalidateList("a")
        #expect(ask("a", &cache, at: 0) == "read 2")
        _ = cache.finishReading(2, with: "new", size: 1, isKept: true, at: Self.at(1))
        #expect(cache.finishReading(1, with: "old", size: 1, isKept: true, at: Self.at(2)) == Self.at(2))
        #expect(ask("a", &cache, at: 3) == "new until 31")
    }

    @Test func aChangeOfWhatNobodyHasIsHarmless() {
        var cache = cache()
        cache.invalidateList("a")
        #expect(ask("a", &cache, at: 0) == "read 1")
        cache.invalidateList("a")
        cache.invalidateList("a")
        cache.failReading(1)
        #expect(cache.readingCount == 0)
    }

    @Test func dropLeavesReadingsAlone() throws {
        var cache = cache()
        try keep("a", &cache, at: 0)
        try keep("b", &cache, at: 0)
        #expect(ask("c", &cache, at: 0) == "read 3")
        cache.dropLists { key, value in key != "b" && value == key }
        #expect(cache.count == 1 && cache.size == 1)
        _ = cache.finishReading(3, with: "c", size: 1, isKept: true, at: Self.at(1))
        #expect(ask("c", &cache, at: 1) == "c until 31")
    }

    // MARK: Room

    @Test func theOldestMakesRoom() throws {
        var cache = cache(count: 3)
        for (second, key) in ["a", "b", "c"].enumerated() { try keep(key, &cache, at: Int64(second)) }
        #expect(ask("a", &cache, at: 3) == "a until 30", "being asked for does not make it younger")
        try keep("d", &cache, at: 4)
        #expect(cache.count == 3)
        #expect(ask("a", &cache, at: 5) == "read 5")
        #expect(ask("b", &cache, at: 5) == "b until 31")
    }

    @Test func soDoSeveralForALargeOne() throws {
        var cache = cache(count: 10, size: 100)
        try keep("a", &cache, at: 0, size: 40)
        try keep("b", &cache, at: 1, size: 40)
        try keep("c", &cache, at: 2, size: 20)
        #expect(cache.size == 100)
        try keep("d", &cache, at: 3, size: 61)
        #expect(cache.size == 81 && cache.count == 2)
        #expect(ask("c", &cache, at: 4) == "c until 32")
        try keep("e", &cache, at: 5, size: 101)
        #expect(cache.size == 81, "what is larger than all that may be kept displaces nothing")
        try keep("f", &cache, at: 6, size: 100)
        #expect(cache.size == 100 && cache.count == 1)
    }

    @Test func whatIsStaleMakesRoomFirst() throws {
        var cache = cache(ttl: 10, count: 2)
        try keep("a", &cache, at: 0)
        try keep("b", &cache, at: 9)
        try keep("c", &cache, at: 10)
        #expect(cache.count == 2)
        #expect(ask("b", &cache, at: 11) == "b until 19")
    }

    @Test func aReadingThatHasEndedEndsNothingMore() throws {
        var cache = cache()
        try keep("a", &cache, at: 0)
        #expect(cache.finishReading(1, with: "again", size: 1, isKept: true, at: Self.at(1)) == Self.at(1))
        cache.failReading(1)
        #expect(ask("a", &cache, at: 2) == "a until 30")
        #expect(cache.size == 1 && cache.count == 1 && cache.readingCount == 0)
    }
}
