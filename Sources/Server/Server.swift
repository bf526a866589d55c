import Admin
import Configuration
package import Gateway
import MCP
package import Reactor
package import Telemetry

/// The running of Remora: makes everything, runs it, takes over another configuration when asked to, and drains it when
/// asked to end. It lives on the first loop.
package final class Server {
    let source: ConfigurationSource
    package let log: Log
    let secrets: Secrets
    package let loops: [Loop]
    package let shards: [Shard]
    let admin: AdminService
    private let peers: PeerDoor?
    /// What is in force.
    var wiring: Wiring
    var reloads = ReloadCounts()
    /// Whether the configuration is being read, and whether it is to be read once more after that.
    var isReloading = false
    var isReloadDue = false
    private(set) var isDraining = false
    /// When the process is to have ended, once it was asked to.
    private var endOfShutdown = Instant.now

    /// What the log has at least for its last lines, where the end has taken all of `limits.shutdown_timeout`. A reader that
    /// takes nothing for longer does not hold up the end.
    private static let lastWords: Duration = .milliseconds(100)

    var main: Loop { loops[0] }

    /// Runs until SIGTERM or SIGINT, and then until what was in flight is done.
    package static func run(_ source: ConfigurationSource) {
        let server = Server(source)
        let watches = [
            SignalWatch(SignalWatch.terminate, on: server.main) { server.end() },
            SignalWatch(SignalWatch.interrupt, on: server.main) { server.end() },
            SignalWatch(SignalWatch.hangup, on: server.main) { server.reload() },
        ]
        server.start()
        for loop in server.loops.dropFirst() { loop.runOnNewThread() }
        server.main.run()
        for loop in server.loops.dropFirst() { loop.join() }
        withExtendedLifetime(watches) {}
        server.log.write(.info, "stopped")
        server.log.flush(within: max(Server.lastWords, server.endOfShutdown - .now))
    }

    /// Has every loop begin to serve when it runs.
    package func start() {
        let shards = shards
        for shard in shards {
            shard.loop.post {
                await shard.connect(shards)
                await shard.start()
            }
        }
        if let peers { main.post { await peers.start() } }
    }

    /// Makes everything, and listens. Ends the process where the configuration is wrong, or an address cannot be had.
    package init(_ source: ConfigurationSource) {
        let configuration = source.load()
        self.source = source
        log = Log(level: configuration.log.logLevel, format: configuration.log.lineFormat)
        secrets = Secrets(configuration)
        wiring = Wiring(configuration, secrets: secrets, log: log)
        loops = (0..<configuration.threads).map { _ in Loop() }
        let address: SocketAddress
        do throws(SystemError) {
            (shards, address) = try wiring.shards(on: loops)
        } catch {
            Server.fail(error, "listen", configuration.listen.address)
        }
        let scheme = wiring.scheme
        log.write(.info, "listening") { line in
            line.field("address", "\(address)")
            if configuration.listen.tls != nil { line.field("scheme", scheme) }
            line.field("path", configuration.listen.path)
            line.field("version", Version.current)
        }
        admin = AdminService(on: loops[0], shards: shards, settings: wiring.adminSettings, log: log)
        do throws(SystemError) {
            if let address = wiring.adminAddress { try admin.listen(on: admin.listener(on: address)) }
        } catch {
            // Only to listen there can fail.
            guard let address = configuration.admin.address else { preconditionFailure("a listener that is off") }
            Server.fail(error, "admin", address)
        }
        do throws(SystemError) {
            peers = try wiring.peerDoor(on: loops[0], shards: shards)
        } catch {
            // Only to listen for them can fail.
            guard let group = configuration.replicas.group else { preconditionFailure("a listener for no replicas") }
            Server.fail(error, "replicas", .tcp(host: group.address, port: group.port))
        }
    }

    // MARK: The end

    /// The first signal asks to end well, the second ends at once.
    package func end() {
        if isDraining { Exit.failure() }
        isDraining = true
        let timeout = wiring.configuration.limits.shutdownTimeout
        log.write(.info, "draining") { $0.field("timeout_ms", milliseconds: timeout) }
        endOfShutdown = main.now + timeout
        main.spawn { await self.drain(timeout: timeout) }
    }

    /// The admin listener stays until the last call has ended: who looks then wants to know why it takes so long. So
    /// does that for replicas: retries come to them now, and their calls are here.
    private func drain(timeout: Duration) async {
        admin.drain()
        await peers?.drain()
        let time = DrainTime(from: main.now, timeout: timeout)
        // A client may come back for its call on any loop.
        await withTaskGroup(of: Void.self) { group in
            for shard in shards { group.addTask { await shard.stopAccepting(until: time.endOfParking) } }
        }
        await withTaskGroup(of: Void.self) { group in
            for shard in shards { group.addTask { await shard.drain(in: time) } }
        }
        await peers?.close()
        admin.close()
        for shard in shards { shard.loop.post { shard.loop.stop() } }
    }

    /// - Parameter section: of the configuration, which has the address.
    private static func fail(_ error: SystemError, _ section: String, _ address: ListenAddress) -> Never {
        Console.complain("remora: \(advice(error, section, address))")
        Exit.failure()
    }

    static func advice(_ error: SystemError, _ section: String, _ address: ListenAddress) -> String {
        let advice =
            error.isAddressInUse
            ? "another program uses it: stop it, or set \(section).address to another one"
            : "check \(section).address"
        return "cannot listen on \(address): \(error.reason); \(advice)"
    }
}

extension Configuration.Log {
    var logLevel: LogLevel {
        switch level {
        case .error: .error
        case .warning: .warning
        case .info: .info
        case .debug: .debug
        }
    }

    var lineFormat: LogLine.Format { format == .json ? .json : .text }
}
