import Reactor

/// A whole message, ready to be sent with one system call.
package struct HTTPMessage {
    /// A body up to this size is joined with its head: copying it costs less than a longer system call.
    private static let maxJoined = 16 * 1024

    /// Whether it is too large to be joined.
    var isLarge: Bool { !rest.isEmpty }

    private let bytes: [UInt8]
    private let rest: [ArraySlice<UInt8>]

    /// - Parameters:
    ///   - headSize: about how long the head is.
    ///   - writeHead: appends the head.
    package init(_ body: some HTTPBody, headSize: Int, writeHead: (inout [UInt8]) -> Void) {
        let isJoined = body.count <= HTTPMessage.maxJoined
        var bytes: [UInt8] = []
        bytes.reserveCapacity(headSize + (isJoined ? body.count : 0))
        writeHead(&bytes)
        if isJoined { body.append(to: &bytes) }
        self.bytes = bytes
        rest = isJoined ? [] : body.slices
    }

    /// All of it, for tests.
    var joined: [UInt8] { rest.reduce(bytes) { $0 + $1 } }

    func sendMessage(on socket: Socket) {
        if rest.isEmpty { socket.write(bytes) } else { socket.write([bytes[...]] + rest) }
    }
}
