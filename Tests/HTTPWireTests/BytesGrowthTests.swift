import HTTPWire
import Testing

struct BytesGrowthTests {
    @Test func aBufferThatBecomesLargeIsCopiedOnce() {
        let part = [UInt8](repeating: 0x78, count: 30_000)
        var buffer: [UInt8] = []
        var capacities: Set<Int> = []
        while buffer.count < 8 * 1024 * 1024 {
            buffer.append(part.span, upTo: 64 * 1024 * 1024)
            if buffer.count > 256 * 1024 { capacities.insert(buffer.capacity) }
        }
        // What it had as a small one, and the room of a large one.
        #expect(capacities.count <= 2)
    }

    @Test func noMoreRoomIsKeptThanItsLimit() {
        let limit = 1024 * 1024
        var buffer: [UInt8] = []
        while buffer.count < limit { buffer.append([UInt8](repeating: 0x78, count: 1024).span, upTo: limit) }
        // The allocator's rounding.
        #expect(buffer.capacity < limit + 64 * 1024)
    }
}
