internal import Glibc
internal import Synchronization

/// One end of a connection within the process, on its way to the loop that is to have it. It is closed when it is dropped.
package final class SocketEnd: Sendable {
    /// -1 once it was taken.
    private let fd: Atomic<Int32>

    private init(_ fd: Int32) { self.fd = Atomic(fd) }

    deinit {
        let fd = fd.load(ordering: .relaxed)
        if fd >= 0 { _ = close(fd) }
    }

    /// Two ends: what is written into the one comes out of the other.
    package static func makePair() throws(SystemError) -> (SocketEnd, SocketEnd) {
        var ends: [Int32] = [-1, -1]
        guard unsafe socketpair(AF_UNIX, streamSocket | nonBlocking, 0, &ends) == 0 else {
            throw SystemError("socketpair")
        }
        return (SocketEnd(ends[0]), SocketEnd(ends[1]))
    }

    /// The socket, on the loop that calls; nil when it was taken before.
    package func takeSocket(on loop: Loop) -> Socket? {
        let fd = fd.exchange(-1, ordering: .relaxed)
        return fd < 0 ? nil : Socket(adopting: fd, on: loop)
    }
}
