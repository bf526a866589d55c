internal import CLibevent
internal import Glibc

/// A program to start, without a shell.
package struct ChildCommand: Sendable, Equatable {
    /// The first is the program: a path if it has a slash, otherwise looked up in the `PATH` of ``environment``.
    package let arguments: [String]
    /// All that the child gets, as `NAME=VALUE`.
    package let environment: [String]
    /// Where it runs, and what a path with a slash is relative to; nil for Remora's own.
    package let directory: String?

    /// What every child gets of Remora's own environment. The rest may hold secrets that are none of its business.
    private static let inherited = ["PATH", "HOME", "LANG", "TZ", "TMPDIR"]

    /// - Parameter variables: what it gets beside the little that every child does.
    package init(arguments: [String], adding variables: [String: String], directory: String?) {
        var all: [String: String] = [:]
        for name in ChildCommand.inherited {
            if let value = unsafe getenv(name) { all[name] = unsafe String(cString: value) }
        }
        all.merge(variables) { $1 }
        self.init(
            arguments: arguments, environment: all.map { "\($0.key)=\($0.value)" }.sorted(), directory: directory)
    }

    init(arguments: [String], environment: [String], directory: String?) {
        // The configuration lets through no other.
        precondition(!arguments.isEmpty, "a command without a program")
        self.arguments = arguments
        self.environment = environment
        self.directory = directory
    }

    /// What may be shown of it: arguments can hold secrets.
    package var name: String { arguments[0] }

    /// Whether the program is there, as far as can be seen without starting it.
    package var isRunnable: Bool {
        guard let path else { return false }
        return path.hasPrefix("/") ? unsafe access(path, X_OK) == 0 : true
    }

    /// The program's file; nil where there is none that can be run.
    package var path: String? {
        let program = arguments[0]
        if program.contains("/") { return program }
        let search =
            environment.first { $0.hasPrefix("PATH=") }?.dropFirst("PATH=".count) ?? "/usr/local/bin:/usr/bin:/bin"
        return search.split(separator: ":").lazy.map { "\($0)/\(program)" }.first { unsafe access($0, X_OK) == 0 }
    }
}

/// How a child has ended.
package enum ChildExit: Sendable, Equatable, CustomStringConvertible {
    case status(Int32)
    case signal(Int32)

    package var description: String {
        switch self {
        case .status(let status): "exit status \(status)"
        case .signal(let signal): "signal \(signal)"
        }
    }
}

/// A child with pipes for its standard streams, in a process group of its own, on the loop that started it.
///
/// The kernel kills it when the loop's thread ends; a `Warden` kills what it has started itself. When it has ended, so do those
/// of its group that are left: a server's helpers are of no use any more.
@safe package final class ChildProcess {
    /// How often, and how far apart, one looks for members of the group that have become ours to bury: only in a container
    /// without another process 1.
    private static let burials = 20
    private static let burialPause: Duration = .milliseconds(50)

    package let id: Int32
    package let input: PipeWriter
    package let output: PipeReader
    package let errors: PipeReader
    /// How it ended; nil while it runs.
    package private(set) var exit: ChildExit?
    private let loop: Loop
    private let warden: Warden?
    private let handle: Int32
    private let dying = Event()
    private let gone = Wakeup()
    /// Holds itself until it has ended and was reaped.
    private var whileRunning: ChildProcess?

    /// Starts it. The call takes as long as the kernel needs to start a program, whatever memory this process has.
    package static func startProcess(
        _ command: ChildCommand, on loop: Loop, warden: Warden?
    ) throws(SystemError) -> ChildProcess {
        guard let path = command.path else { throw SystemError("exec", code: ENOENT) }
        let input = try PipeEnds()
        let output: PipeEnds
        let errors: PipeEnds
        do throws(SystemError) {
            output = try PipeEnds()
        } catch {
            input.closeBoth()
            throw error
        }
        do throws(SystemError) {
            errors = try PipeEnds()
        } catch {
            input.closeBoth()
            output.closeBoth()
            throw error
        }
        defer { for fd in [input.reading, output.writing, errors.writing] { close(fd) } }
        let started = spawnProcess(
            path, command, input: input.reading, output: output.writing, errors: errors.writing,
            warden: warden?.descriptor ?? -1, diesWithParent: true)
        let handle: Int32
        switch started {
        case .success(let id):
            handle = remora_pidfd_open(id)
            if handle >= 0 {
                return ChildProcess(
                    id, handle, on: loop, warden: warden, input: input.writing, output: output.reading,
                    errors: errors.reading)
            }
            let error = SystemError("pidfd_open")
            kill(-id, SIGKILL)
            reapChild(id)
            warden?.releaseGroup(id)
            for fd in [input.writing, output.reading, errors.reading] { close(fd) }
            throw error
        case .failure(let error):
            for fd in [input.writing, output.reading, errors.reading] { close(fd) }
            throw error
        }
    }

    static func spawnProcess(
        _ path: String, _ command: ChildCommand, input: Int32, output: Int32, errors: Int32, warden: Int32,
        diesWithParent: Bool
    ) -> Result<Int32, SystemError> {
        var step: Int32 = 0
        let arguments = CStrings(command.arguments)
        let environment = CStrings(command.environment)
        let id = unsafe path.withCString { path in
            unsafe withOptionalCString(command.directory) { directory in
                var child = unsafe remora_child(
                    path: path, arguments: arguments.pointer, environment: environment.pointer, directory: directory,
                    input: input, output: output, errors: errors, warden: warden,
                    dies_with_parent: diesWithParent ? 1 : 0)
                return unsafe remora_spawn(&child, &step)
            }
        }
        if id > 0 { return .success(id) }
        let code = errno
        if id < -1 {
            reapChild(-id)
            Warden.releaseGroup(-id, at: warden)
        }
        let call =
            switch Int(step) {
            case remora_child_directory: "chdir"
            case remora_child_exec: "exec"
            default: "fork"
            }
        return .failure(SystemError(call, code: code))
    }

    private static func reapChild(_ id: Int32) {
        while waitpid(id, nil, 0) < 0, errno == EINTR {}
    }

    private init(
        _ id: Int32, _ handle: Int32, on loop: Loop, warden: Warden?, input: Int32, output: Int32, errors: Int32
    ) {
        self.id = id
        self.handle = handle
        self.loop = loop
        self.warden = warden
        self.input = PipeWriter(adopting: input, on: loop)
        self.output = PipeReader(adopting: output, on: loop)
        self.errors = PipeReader(adopting: errors, on: loop)
        whileRunning = self
        unsafe dying.assignEvent(
            loop.base, fd: handle, events: EV_READ,
            callback: { _, _, context in
                let child = unsafe Unmanaged<ChildProcess>.fromOpaque(context!).takeUnretainedValue()
                child.loop.runTurn { child.processEnded() }
            },
            context: Unmanaged.passUnretained(self).toOpaque())
        dying.add()
    }

    private func processEnded() {
        guard exit == nil else { return }
        // While it is not reaped, no other process can get its number, which is the group's.
        kill(-id, SIGKILL)
        warden?.releaseGroup(id)
        var status: Int32 = 0
        while unsafe waitpid(id, &status, 0) < 0, errno == EINTR {}
        exit = status & 0x7F == 0 ? .status(status >> 8 & 0xFF) : .signal(status & 0x7F)
        dying.deleteEvent()
        close(handle)
        gone.signal()
        loop.spawn { [id, loop] in await ChildProcess.buryGroup(id, on: loop) }
        whileRunning = nil
    }

    /// Buries the rest of the group, as far as it is ours: process 1 of a container inherits orphans.
    private static func buryGroup(_ id: Int32, on loop: Loop) async {
        for _ in 0..<burials {
            var buried: Int32
            repeat { buried = waitpid(-id, nil, WNOHANG) } while buried > 0
            if buried < 0 { return }
            await Pause(on: loop).waitFor(burialPause)
        }
    }

    /// Sends a signal to it and all of its group.
    private func sendSignal(_ signal: Int32) { if exit == nil { kill(-id, signal) } }

    /// Waits until it has ended, at most for `patience`. Returns whether it has.
    package func waitForEnd(_ patience: Duration) async -> Bool {
        await gone.wait(while: { exit == nil }, until: loop.now + patience, on: loop)
        return exit != nil
    }

    /// Waits until it has ended.
    package func waitForEnd() async {
        while exit == nil { await gone.wait() }
    }

    /// Ends it as the specification wants it (2025-11-25, basic/lifecycle, "Shutdown"): its input is closed, after `patience`
    /// comes SIGTERM, and after as long again SIGKILL. Returns when it has ended.
    package func stopProcess(patience: Duration) async {
        input.closePipe()
        if await waitForEnd(patience) { return }
        sendSignal(SIGTERM)
        if await waitForEnd(patience) { return }
        sendSignal(SIGKILL)
        await waitForEnd()
    }
}

/// An array of C strings that ends with a null pointer, as `execve` wants it.
@safe private final class CStrings {
    let pointer: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>
    private let count: Int

    init(_ strings: [String]) {
        count = strings.count
        unsafe pointer = .allocate(capacity: count + 1)
        for (index, string) in strings.enumerated() {
            unsafe pointer.advanced(by: index).initialize(to: strdup(string))
        }
        unsafe pointer.advanced(by: count).initialize(to: nil)
    }

    deinit {
        for index in 0..<count { unsafe free(pointer[index]) }
        unsafe pointer.deallocate()
    }
}

private func withOptionalCString<Value>(
    _ text: String?, _ body: (UnsafePointer<CChar>?) -> Value
) -> Value {
    guard let text else { return body(nil) }
    return unsafe text.withCString { unsafe body($0) }
}
