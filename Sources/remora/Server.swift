import Configuration
import Crypto
import Gateway
import Reactor
import Telemetry

/// The running of Remora: make everything, run it, and drain it when asked to end.
enum Server {
    /// Runs until SIGTERM or SIGINT, and then until what was in flight is done.
    static func run(_ configuration: Configuration) {
        let log = Log(configuration.log)
        let wiring = Wiring(configuration, log: log)
        let loops = (0..<configuration.threads).map { _ in Loop() }
        let main = loops[0]
        let shards: [Shard]
        do throws(SystemError) {
            shards = try wiring.shards(on: loops)
        } catch {
            fail(error, to: configuration.listen)
        }
        let watches = watchSignals(on: main) {
            log.write(.info, "draining") { $0.field("timeout_ms", milliseconds: configuration.limits.shutdownTimeout) }
            main.post { await drain(shards, timeout: configuration.limits.shutdownTimeout) }
        }
        for shard in shards { shard.loop.post { await shard.start() } }
        for loop in loops.dropFirst() { loop.runOnNewThread() }
        main.run()
        for loop in loops.dropFirst() { loop.join() }
        withExtendedLifetime(watches) {}
        log.write(.info, "stopped")
        log.flush()
    }

    /// The first signal asks to end well, the second ends at once.
    private static func watchSignals(on loop: Loop, _ onFirst: @escaping () -> Void) -> [SignalWatch] {
        var isFirst = true
        return [SignalWatch.terminate, SignalWatch.interrupt].map { signal in
            SignalWatch(signal, on: loop) {
                if !isFirst { Exit.failure() }
                isFirst = false
                onFirst()
            }
        }
    }

    private static func drain(_ shards: [Shard], timeout: Duration) async {
        await withTaskGroup(of: Void.self) { group in
            for shard in shards { group.addTask { await shard.drain(timeout: timeout) } }
        }
        for shard in shards { shard.loop.post { shard.loop.stop() } }
    }

    private static func fail(_ error: SystemError, to listen: Configuration.Listen) -> Never {
        let advice =
            error.isAddressInUse
            ? "another program uses the port: stop it, or set listen.address to another one"
            : "check listen.address"
        Console.complain("remora: cannot listen on \(listen.address):\(listen.port): \(error.reason); \(advice)")
        Exit.failure()
    }
}

extension Log {
    convenience init(_ configuration: Configuration.Log) {
        let level: LogLevel =
            switch configuration.level {
            case .error: .error
            case .warning: .warning
            case .info: .info
            case .debug: .debug
            }
        self.init(level: level, format: configuration.format == .json ? .json : .text)
    }
}
