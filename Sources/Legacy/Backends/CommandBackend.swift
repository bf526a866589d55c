import MCP
package import Reactor
package import Telemetry
import Translation

/// A legacy server that is started as a command, once for each session, and spoken to over stdio.
package final class CommandBackend: LegacyServer {
    /// Between two starts after one that led to no session; doubled by each.
    private static let pauses: ClosedRange<Duration> = .milliseconds(100) ... .seconds(30)

    private let command: ChildCommand
    private let warden: Warden?
    private var pause = CommandBackend.pauses.lowerBound
    /// Before this there is no new start.
    private var earliest: Instant?
    /// Processes that led to no session, and have not ended yet.
    private var failing = 0

    package init(
        running command: ChildCommand, label: String, warden: Warden?, on loop: Loop, limits: Backend.Limits, log: Log
    ) {
        self.command = command
        self.warden = warden
        super.init(
            name: Array(command.arguments.joined(separator: " ").utf8), label: label, on: loop, limits: limits, log: log
        )
    }

    override func open(
        _ introduction: Introduction, credentials: Credentials
    ) async throws(BackendError) -> (any SessionTransport, Handshake) {
        while true {
            let offered = introduction.revision
            let transport = try ready()
            do throws(BackendError) {
                let handshake = try await transport.open(introduction, credentials: credentials)
                succeeded()
                return (transport, handshake)
            } catch {
                // A process that ended over a revision that it does not know is followed by one that is offered the next.
                if !error.isRefusal, introduction.revision != offered {
                    await transport.isGone()
                } else {
                    await failed(transport, error)
                    throw error
                }
            }
        }
    }

    override func openChannel(
        _ initialize: [UInt8], id: MessageID, credentials: Credentials, unless abandonment: Abandonment
    ) async throws(BackendError) -> (transport: ChannelTransport, answer: CarriedMessage, early: [CarriedMessage]) {
        let transport = try ready()
        do throws(BackendError) {
            let (answer, early) = try await transport.carry(
                initialize, id: id, credentials: credentials, unless: abandonment)
            succeeded()
            return (transport, answer, early)
        } catch {
            await failed(transport, error)
            throw error
        }
    }

    private func ready() throws(BackendError) -> StdioTransport {
        if failing > 0 || earliest.map({ loop.now < $0 }) == true {
            throw BackendError(
                .unavailable,
                "\(command.name) led to no session, and is started again in a while; its output is in the log")
        }
        return StdioTransport(to: self)
    }

    private func succeeded() {
        earliest = nil
        pause = CommandBackend.pauses.lowerBound
        attempted(nil)
    }

    private func failed(_ transport: StdioTransport, _ error: BackendError) async {
        if error.isRefusal { attempted(nil) }
        // Nor does it say anything of the command that nobody waited for it.
        if error.isRefusal || error.kind == .cancelled { return await transport.isGone() }
        attempted(error.detail)
        // It has its place for as long as its process is there. Most have ended by now; SIGKILL ends the others.
        failing += 1
        await transport.isGone()
        failing -= 1
        earliest = loop.now + pause
        pause = min(pause * 2, CommandBackend.pauses.upperBound)
    }

    /// Starts a child.
    func start() throws(BackendError) -> ChildProcess {
        do throws(SystemError) {
            let child = try ChildProcess.start(command, on: loop, warden: warden)
            log.write(.debug, "server_started") { $0.field("pid", Int(child.id)) }
            return child
        } catch {
            throw BackendError(
                .unavailable, "\(command.name) cannot be started: \(error); check backends[].command and backends[].cwd"
            )
        }
    }

    /// Has a child end, and says so.
    func stop(_ child: ChildProcess, patience: Duration) {
        let wasRunning = child.exit == nil
        loop.spawn { [log] in
            await child.stop(patience: patience)
            // By itself, with an error: somebody wants to know.
            let isCrash = !wasRunning && child.exit != .status(0)
            log.write(isCrash ? .warning : .debug, "server_ended") { entry in
                entry.field("pid", Int(child.id))
                entry.field("how", child.exit.map { "\($0)" } ?? "")
            }
            // Whoever left the child's group may hold the pipes open.
            await child.errors.waitForEnd(patience)
            child.errors.close()
            child.output.close()
        }
    }

    /// Whether the program is there: more would be a session.
    override func tryToReach() async {
        attempted(command.isRunnable ? nil : "\(command.name) is no program that can be run")
    }
}
