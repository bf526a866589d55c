import Reactor

/// A question that shows whether the server knows a session, and all who wait for its answer.
final class SessionProbe {
    enum Question: Hashable {
        case ping
        /// One of the lists that the server has: nothing answers that without a handshake.
        case list
    }

    let settled = Wakeup()
    var life: SessionLife?
}
