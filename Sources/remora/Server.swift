import Admin
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
            fail(error, "listen", configuration.listen.address)
        }
        let admin = admin(wiring, configuration.admin, on: main, shards)
        let peers = peers(wiring, configuration.replicas, on: main, shards)
        let watches = watchSignals(on: main) {
            log.write(.info, "draining") { $0.field("timeout_ms", milliseconds: configuration.limits.shutdownTimeout) }
            main.post { await drain(shards, admin, peers, timeout: configuration.limits.shutdownTimeout) }
        }
        for shard in shards {
            shard.loop.post {
                await shard.connect(shards)
                await shard.start()
            }
        }
        if let admin { main.post { await admin.start() } }
        if let peers { main.post { await peers.start() } }
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

    private static func admin(
        _ wiring: Wiring, _ configuration: Configuration.Admin, on loop: Loop, _ shards: [Shard]
    ) -> Admin? {
        do throws(SystemError) {
            return try wiring.admin(on: loop, shards: shards)
        } catch {
            guard let address = configuration.address else { preconditionFailure("an admin listener that is off") }
            fail(error, "admin", address)
        }
    }

    private static func peers(
        _ wiring: Wiring, _ configuration: Configuration.Replicas, on loop: Loop, _ shards: [Shard]
    ) -> PeerDoor? {
        do throws(SystemError) {
            return try wiring.peerDoor(on: loop, shards: shards)
        } catch {
            guard let group = configuration.group else { preconditionFailure("a listener for no replicas") }
            fail(error, "replicas", .tcp(host: group.address, port: group.port))
        }
    }

    /// The admin listener stays until the last call has ended: who looks then wants to know why it takes so long. So
    /// does that for replicas: retries come to them now, and their calls are here.
    private static func drain(_ shards: [Shard], _ admin: Admin?, _ peers: PeerDoor?, timeout: Duration) async {
        await admin?.drain()
        await withTaskGroup(of: Void.self) { group in
            for shard in shards { group.addTask { await shard.drain(timeout: timeout) } }
        }
        await peers?.close()
        await admin?.close()
        for shard in shards { shard.loop.post { shard.loop.stop() } }
    }

    /// - Parameter section: of the configuration, which has the address.
    private static func fail(_ error: SystemError, _ section: String, _ address: ListenAddress) -> Never {
        let advice =
            error.isAddressInUse
            ? "another program uses it: stop it, or set \(section).address to another one"
            : "check \(section).address"
        Console.complain("remora: cannot listen on \(address): \(error.reason); \(advice)")
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
