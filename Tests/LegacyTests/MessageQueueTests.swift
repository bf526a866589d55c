import Testing

@testable import Legacy

@Suite struct MessageQueueTests {
    @Test func whatComesOutIsWhatWentInInItsOrder() {
        var queue = MessageQueue()
        var model: [[UInt8]] = []
        var state: UInt64 = 1
        for step in 0..<20_000 {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            // Long times in which it grows, and others in which it becomes empty.
            let grows = (step / 500).isMultiple(of: 2) ? 3 : 1
            if Int(state >> 33) % 4 < grows {
                let message = [UInt8](repeating: UInt8(truncatingIfNeeded: step), count: step % 7)
                queue.append(message)
                model.append(message)
            } else {
                #expect(queue.popFirst() == (model.isEmpty ? nil : model.removeFirst()))
            }
            #expect(queue.isEmpty == model.isEmpty)
        }
        while let message = queue.popFirst() { #expect(message == model.removeFirst()) }
        #expect(model.isEmpty)
        #expect(queue.heldBytes == 0)
    }

    /// A message of one byte takes some fifty: a bound in bytes that did not count them would be none.
    @Test func smallMessagesCountWithWhatTheyTake() {
        var queue = MessageQueue()
        for _ in 0..<1000 { queue.append([1]) }
        #expect(queue.heldBytes == 1000 * (1 + MessageQueue.overhead))
        for _ in 0..<999 { _ = queue.popFirst() }
        #expect(queue.heldBytes == 1 + MessageQueue.overhead)
    }

    /// The taker of a message is the only one that has it.
    @Test func whatWasTakenOutIsLetGo() {
        var queue = MessageQueue()
        for number in 0..<10 { queue.append([UInt8](repeating: UInt8(number), count: 100)) }
        _ = queue.popFirst()
        var second = queue.popFirst() ?? []
        let before = second.withUnsafeBufferPointer { $0.baseAddress }
        // Another one's array would be copied first.
        second[0] = 9
        #expect(second.withUnsafeBufferPointer { $0.baseAddress } == before)
    }

    /// Taking out in turn from a long queue: a cost that grows with its length would take minutes here.
    @Test(.timeLimit(.minutes(1))) func aLongQueueIsNoSlower() {
        var queue = MessageQueue()
        for _ in 0..<2_000_000 { queue.append([0]) }
        var count = 0
        while queue.popFirst() != nil { count += 1 }
        #expect(count == 2_000_000)
    }
}
