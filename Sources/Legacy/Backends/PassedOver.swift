import Reactor
import Telemetry

/// What a server sends in a session and what is passed over, as far as the log tells of it: a line for each at `debug`, and no more
/// of them than ``LineAllowance`` lets through. The others are counted.
final class PassedOver {
    /// Bytes of the type of an event that go into the log.
    private static let maxType = 32

    private let server: LegacyServer
    private var allowance: LineAllowance

    init(of server: LegacyServer) {
        self.server = server
        allowance = LineAllowance(at: server.loop.now)
    }

    deinit { tellDropped(allowance.takeDropped()) }

    /// Notes that something is passed over. Nothing of it goes into the log: it may be a caller's alone.
    ///
    /// - Parameter type: of the event that it came in, in the server's words; nil where it is none, or a message.
    func noteSkipped(_ bytes: Int, because why: StaticString, type: [UInt8]? = nil) {
        guard case .write(let dropped) = allowance.takeLine(at: server.loop.now) else { return }
        tellDropped(dropped)
        server.log.write(.debug, "server_message_ignored") { entry in
            entry.field("backend", server.label)
            entry.field("why", why)
            entry.field("bytes", bytes)
            if let type { entry.field("type", String(decoding: type.prefix(PassedOver.maxType), as: UTF8.self)) }
        }
    }

    private func tellDropped(_ count: Int) {
        guard count > 0 else { return }
        server.log.write(.debug, "server_message_ignored_dropped") { entry in
            entry.field("backend", server.label)
            entry.field("count", count)
        }
    }
}
