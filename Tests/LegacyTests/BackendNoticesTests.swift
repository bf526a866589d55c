import Reactor
import Testing

@testable import Legacy

@Suite struct BackendNoticesTests {
    private static func at(_ milliseconds: Int) -> Instant { Instant(nanoseconds: 0) + .milliseconds(milliseconds) }

    @Test func eachChangeIsToldOnceWhoeverFindsItOut() {
        let notices = BackendNotices()
        #expect(notices.noteFinding("a", isDown: false, at: Self.at(0)) == nil, "it was never down")
        #expect(notices.noteFinding("a", isDown: true, at: Self.at(10)) == .down)
        #expect(notices.noteFinding("a", isDown: true, at: Self.at(20)) == nil)
        #expect(notices.noteFinding("b", isDown: true, at: Self.at(20)) == .down)
        #expect(notices.noteFinding("a", isDown: false, at: Self.at(110)) == .up(.milliseconds(100)))
        #expect(notices.noteFinding("a", isDown: false, at: Self.at(120)) == nil)
    }

    @Test func oneThatComesAndGoesIsToldToBeDownOnceASecond() {
        let notices = BackendNotices()
        var told = 0
        for time in stride(from: 0, to: 10_000, by: 10) {
            if notices.noteFinding("a", isDown: time % 20 == 0, at: Self.at(time)) == .down { told += 1 }
        }
        #expect((9...11).contains(told))
    }
}
