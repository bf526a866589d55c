import Testing

@testable import Reactor

@Suite struct WriteQueueTests {
    /// The work for a part does not grow with the parts behind it, and the places of those that are gone are given back.
    @Test(.timeLimit(.minutes(1))) func manySmallPartsGoOutInTheirOrder() {
        var queue = WriteQueue()
        let count = 400_000
        for index in 0..<count { queue.appendPart([UInt8(truncatingIfNeeded: index)]) }
        var next = 0
        while next < count {
            let size = min(1 + next % 7, count - next)
            queue.takeBytes(upTo: size) { part in
                for byte in part {
                    if byte != UInt8(truncatingIfNeeded: next) { Issue.record("byte \(next) is \(byte)") }
                    next += 1
                }
            }
        }
        #expect(queue.isEmpty && queue.count == 0)
        queue.appendPart([1, 2, 3])
        queue.removeFirst(2)
        #expect(queue.count == 1)
    }
}
