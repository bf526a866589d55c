import MCP
package import Reactor
package import Telemetry
import Translation

/// A legacy server that is started as a command, once for each session, and spoken to over stdio.
package final class CommandBackend: LegacyServer, ReachableServer {
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
            name: Array(command.arguments.joined(separator: " ").utf8), label: label, startsProcesses: true, on: loop,
            limits: limits, log: log)
    }

    /// Throws where a start before this one led to no session, and it is too early for another.
    func checkPause() throws(BackendError) {
        if failing > 0 || earliest.map({ loop.now < $0 }) == true {
            throw BackendError(
                .unavailable,
                "\(command.name) led to no session, and is started again in a while; its output is in the log")
        }
    }

    /// A process has led to a session.
    func noteSession() {
        earliest = nil
        pause = CommandBackend.pauses.lowerBound
        attemptEnded(nil)
    }

    /// A process has led to no session. Returns when it has ended, which `end` waits for.
    func noteFailedStart(_ error: BackendError, _ end: () async -> Void) async {
        if error.isRefusal { attemptEnded(nil) }
        // Nor does it say anything of the command that no caller waited for it.
        if error.isRefusal || error.kind == .cancelled { return await end() }
        attemptEnded(error.detail)
        // It has its place for as long as its process is there. Most have ended by now; SIGKILL ends the others.
        failing += 1
        await end()
        failing -= 1
        earliest = loop.now + pause
        pause = min(pause * 2, CommandBackend.pauses.upperBound)
    }

    /// Starts a child.
    func startChild() throws(BackendError) -> ChildProcess {
        do throws(SystemError) {
            let child = try ChildProcess.startProcess(command, on: loop, warden: warden)
            log.write(.debug, "server_started") { $0.field("pid", Int(child.id)) }
            return child
        } catch {
            throw BackendError(
                .unavailable, "\(command.name) cannot be started: \(error); check backends[].command and backends[].cwd"
            )
        }
    }

    /// Has a child end, and says so.
    func stopChild(_ child: ChildProcess, patience: Duration) {
        let wasRunning = child.exit == nil
        loop.spawn { [log] in
            await child.stopProcess(patience: patience)
            // It ended by itself, with an error: that is worth a line of the log.
            let isCrash = !wasRunning && child.exit != .status(0)
            log.write(isCrash ? .warning : .debug, "server_ended") { entry in
                entry.field("pid", Int(child.id))
                entry.field("how", child.exit.map { "\($0)" } ?? "")
            }
            // A process that left the child's group may hold the pipes open.
            await child.errors.waitForEnd(patience)
            child.errors.closePipe()
            child.output.closePipe()
        }
    }

    /// Each session is a process that is started for it.
    var isReached: Bool { false }

    /// Whether the program is there: more would be a session.
    func tryToReach() async {
        attemptEnded(command.isRunnable ? nil : "\(command.name) is no program that can be run")
    }
}
