import Gateway
import Glibc
import Reactor
import Server
import SimulatedKernel
import Telemetry

/// A Remora, whole: what `remora -c FILE` runs, on a loop that the simulator turns.
final class Replica {
    let host: Int
    private(set) var server: Server?
    private(set) var base: UnsafeMutableRawPointer
    private let file: ConfigurationFile
    private unowned let loop: Loop
    private(set) var isKilled = false

    /// Starts it.
    init(host: Int, configuration: String) {
        self.host = host
        file = ConfigurationFile(configuration)
        sim_use_host(Int32(host))
        let server = Server(.file(file.path))
        self.server = server
        loop = server.loops[0]
        base = sim_last_base()
        descriptorsAtStart = Int(sim_descriptors(Int32(host)))
        eventsAtStart = Int(sim_events(base)) + 1
        server.startServing()
        nudge {}
    }

    /// Those that it has while nobody is there.
    let descriptorsAtStart: Int
    let eventsAtStart: Int

    /// Whether it has ended, as it does after ``drain()``.
    var isStopped: Bool { isKilled || sim_is_stopped(base) != 0 }

    var internalErrors: Int { server?.log.internalErrorCount ?? 0 }

    func run() { sim_run(base) }

    /// Has its loop do something.
    private func nudge(_ body: @escaping () -> Void) {
        sim_use_host(Int32(host))
        loop.nextTurn(Nudge(body))
        sim_wake(base)
    }

    private final class Nudge: Resumable {
        private let body: () -> Void
        init(_ body: @escaping () -> Void) { self.body = body }
        func resumeWork() { body() }
    }

    private(set) var isDraining = false

    func drain() {
        guard let server, !isStopped else { return }
        isDraining = true
        nudge { server.handleSignal() }
    }

    func reload(_ configuration: String) {
        guard let server, !isStopped else { return }
        file.write(configuration)
        nudge { server.reloadConfiguration() }
    }

    /// Ends it as SIGKILL does. What it had stays in memory, and never runs again.
    func kill() {
        guard !isStopped, let server = server.take() else { return }
        isKilled = true
        _ = Unmanaged.passRetained(server)
        sim_kill(Int32(host))
    }

    /// What it counts, told on its loop.
    func count(_ body: @escaping (WorkerCounts) -> Void) {
        guard let server, !isStopped else { return }
        let worker = server.workers[0]
        nudge { [loop] in loop.spawn { body(await worker.loopCounts()) } }
    }

    /// What a loop has by itself: its epoll, its eventfd, and libevent's pipe for signals.
    static let ofLoop = 4

    var descriptorCount: Int { Int(sim_descriptors(Int32(host))) }

    /// Timers and descriptors that its loop waits for.
    var eventCount: Int { Int(sim_events(base)) }

    var descriptors: String {
        var text = [CChar](repeating: 0, count: 4000)
        sim_list_descriptors(Int32(host), &text, text.count)
        return String(decoding: text.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
    }
}

/// A file in memory, with a name.
struct ConfigurationFile {
    private let descriptor: Int32

    init(_ text: String) {
        descriptor = sim_memory_file()
        guard descriptor >= 0 else { fatalError("no file in memory") }
        write(text)
    }

    var path: String { "/proc/self/fd/\(descriptor)" }

    func write(_ text: String) {
        _ = ftruncate(descriptor, 0)
        let bytes = Array(text.utf8)
        guard pwrite(descriptor, bytes, bytes.count, 0) == bytes.count else {
            fatalError("no room for a file in memory")
        }
    }
}
