internal import CLibevent
internal import Glibc

/// A process beside this one that outlives it by a moment, to kill what its children have started.
///
/// The kernel kills a child when its parent dies, but not the child's own children: `npx` and `uvx` are examples. The warden is
/// told the number of each group (the child itself tells it, before it becomes the program), and when the pipe to it closes, for
/// whatever reason this process ended, it kills the groups that are left.
package final class Warden: Sendable {
    /// The pipe to it. A child's number stands for its start, and with a minus for its end.
    let descriptor: Int32

    private init(_ descriptor: Int32) { self.descriptor = descriptor }

    deinit { close(descriptor) }

    /// Starts it: this program, with arguments by which it runs `Warden.runWarden`.
    package static func startWarden(_ arguments: [String]) throws(SystemError) -> Warden {
        let pipe = try PipeEnds()
        defer { close(pipe.reading) }
        let command = ChildCommand(arguments: arguments, environment: [], directory: "/")
        let started = ChildProcess.spawnProcess(
            "/proc/self/exe", command, input: pipe.reading, output: STDOUT_FILENO, errors: STDERR_FILENO, warden: -1,
            diesWithParent: false)
        switch started {
        case .success: return Warden(pipe.writing)
        case .failure(let error):
            close(pipe.writing)
            throw error
        }
    }

    /// A child has ended, with its group.
    func releaseGroup(_ id: Int32) { Warden.releaseGroup(id, at: descriptor) }

    static func releaseGroup(_ id: Int32, at descriptor: Int32) {
        guard descriptor >= 0 else { return }
        var message = -id
        _ = unsafe write(descriptor, &message, MemoryLayout<Int32>.size)
    }

    /// What the warden does, on its standard input. Returns when everything is done.
    package static func runWarden() {
        // It ends when the pipe does, and by nothing else that is sent to a group of processes.
        for signal in [SIGINT, SIGTERM, SIGHUP, SIGPIPE] { _ = Glibc.signal(signal, SIG_IGN) }
        // A reader of Remora's output must not wait for the warden.
        for descriptor in [STDOUT_FILENO, STDERR_FILENO] { close(descriptor) }
        var groups: Set<Int32> = []
        while true {
            var message: Int32 = 0
            let count = unsafe read(STDIN_FILENO, &message, MemoryLayout<Int32>.size)
            if count == MemoryLayout<Int32>.size {
                if message > 0 { groups.insert(message) } else { groups.remove(-message) }
            } else if count >= 0 || errno != EINTR {
                break
            }
        }
        for group in groups { kill(-group, SIGKILL) }
    }
}
