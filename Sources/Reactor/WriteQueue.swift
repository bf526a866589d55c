internal import Glibc

/// Bytes that wait to be sent: parts of arrays that stay where they are.
struct WriteQueue {
    /// Parts offered to one system call; the kernel takes up to 1024, a message rarely has more than ten.
    private static let maxParts = 64

    private var parts: [ArraySlice<UInt8>] = []
    private var firstPart = 0
    private(set) var count = 0

    var isEmpty: Bool { count == 0 }

    mutating func appendPart(_ part: ArraySlice<UInt8>) {
        parts.append(part)
        count += part.count
    }

    /// Offers the first parts to the kernel; returns how many bytes it took, or -1 with `errno`.
    func sendParts(to fd: Int32) -> Int {
        unsafe withVectors { vectors in
            var message = unsafe msghdr()
            unsafe message.msg_iov = vectors.baseAddress
            unsafe message.msg_iovlen = vectors.count
            return unsafe sendmsg(fd, &message, noSignal)
        }
    }

    /// The same for what is no socket. SIGPIPE has to be ignored.
    func writeParts(to fd: Int32) -> Int {
        unsafe withVectors { unsafe writev(fd, $0.baseAddress, Int32($0.count)) }
    }

    private func withVectors(_ body: (UnsafeMutableBufferPointer<iovec>) -> Int) -> Int {
        let offered = parts[firstPart...].prefix(WriteQueue.maxParts)
        return unsafe withUnsafeTemporaryAllocation(of: iovec.self, capacity: offered.count) { vectors in
            // The arrays are kept alive and in place by `parts` during the call.
            for (index, part) in offered.enumerated() {
                let bytes = unsafe part.withUnsafeBytes { unsafe $0 }
                unsafe vectors.initializeElement(
                    at: index,
                    to: iovec(
                        iov_base: UnsafeMutableRawPointer(mutating: bytes.baseAddress), iov_len: bytes.count))
            }
            return unsafe body(vectors)
        }
    }

    /// Gives out the first bytes, `limit` at the most, in one piece.
    mutating func takeBytes(upTo limit: Int, _ body: (UnsafeRawBufferPointer) -> Void) {
        let first = parts[firstPart]
        if first.count >= limit || first.count == count {
            unsafe first.prefix(limit).withUnsafeBytes(body)
            return removeFirst(min(limit, first.count))
        }
        // Short parts are joined: each piece becomes a record with bytes of its own.
        var joined: [UInt8] = []
        joined.reserveCapacity(min(limit, count))
        var next = firstPart
        while joined.count < limit, next < parts.count {
            joined.append(contentsOf: parts[next].prefix(limit - joined.count))
            next += 1
        }
        unsafe joined.withUnsafeBytes(body)
        removeFirst(joined.count)
    }

    mutating func removeFirst(_ taken: Int) {
        count -= taken
        var taken = taken
        while taken > 0 {
            let size = parts[firstPart].count
            if taken < size {
                parts[firstPart].removeFirst(taken)
                break
            }
            taken -= size
            parts[firstPart] = []
            firstPart += 1
        }
        // A queue that is never quite empty must not keep the places of all that went through it. To move the others costs as
        // much as there are, and half of all places are free then.
        if count == 0 {
            parts.removeAll(keepingCapacity: parts.count <= WriteQueue.maxParts)
            firstPart = 0
        } else if firstPart > WriteQueue.maxParts, firstPart > parts.count / 2 {
            parts.removeFirst(firstPart)
            firstPart = 0
        }
    }
}
