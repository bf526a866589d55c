import Reactor
import Telemetry
import TestSupport
import Testing

@testable import Legacy

/// A child as the transport of a session.
@Suite struct StdioTransportTests {
    @Test func aSessionThatIsDroppedIsGoneWhenItsChildIs() async throws {
        try await withLoop { loop in
            // It reads nothing, so that it does not end with its input.
            let server = CommandBackend(
                running: ChildCommand(arguments: ["/bin/sleep", "0.3"], adding: [:], directory: nil), label: "sleep",
                warden: nil, on: loop, limits: FakeServer.limits(),
                log: Log(level: .error, format: .text, descriptor: 2))
            let stdio = StdioTransport(to: server)
            try await stdio.connectChannel(.none)
            let transport: any SessionTransport = stdio
            let start = Instant.now
            transport.dropSession()
            await transport.isGone()
            #expect(Instant.now - start >= .milliseconds(200), "its process has a place until it has ended")
        }
    }
}
