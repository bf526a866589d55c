package import Reactor
package import Telemetry

/// Where the store is, and how it is spoken to.
package struct StoreSettings: Sendable {
    package let endpoint: Endpoint
    /// `nil`: it is spoken to in the clear.
    package let tls: ServerTLS?
    package let database: Int
    /// `nil`: it asks for none.
    package let password: String?
    /// What the log calls it; without a secret.
    package let name: String

    package init(endpoint: Endpoint, tls: ServerTLS?, database: Int, password: String?, name: String) {
        self.endpoint = endpoint
        self.tls = tls
        self.database = database
        self.password = password
        self.name = name
    }
}

/// Who has something to do when there is a store.
package protocol StoreUser: AnyObject {
    /// Commands are taken from now on, until the connection ends.
    func storeBecameReady()
}

/// The connection to a store, or what takes its place in a test.
package protocol StoreConnection: AnyObject {
    /// To be set before ``startConnecting()``.
    var user: (any StoreUser)? { get set }
    var counts: StoreCounts { get }

    func startConnecting()
    /// Ends the connection, and makes no other.
    func closeStore()

    /// Sends commands together, and waits for their answers.
    ///
    /// - Returns: an answer for each, none of which is an error.
    func runCommands(_ commands: [StoreCommand]) async throws(StoreFailure) -> [StoreReply]
}

/// The connection to the store (Redis or Valkey), of one loop. It is made anew whenever it has ended, after pauses that grow.
package final class Store: StoreConnection {
    private let settings: StoreSettings
    private let loop: Loop
    private let log: Log?
    private let resolver: Resolver
    private let tls: TLSClient?
    private let timer: Deadline
    private var course: StoreCourse
    private var socket: Socket?
    /// What became of the batches that a task waits for.
    private var outcomes: [Int: Result<[StoreReply], StoreFailure>] = [:]
    private var awaited: Set<Int> = []
    private let changed = Wakeup()
    /// To be set before ``startConnecting()``.
    package weak var user: (any StoreUser)?

    /// - Parameter log: nil where another connection of the process tells it what becomes of the store.
    package init(_ settings: StoreSettings, on loop: Loop, log: Log?) {
        self.settings = settings
        self.loop = loop
        self.log = log
        resolver = settings.endpoint.makeResolver(on: loop)
        tls = settings.tls.map { TLSClient($0) }
        timer = Deadline(on: loop)
        course = StoreCourse(password: settings.password, database: settings.database, at: loop.now)
        timer.onExpiry = { [unowned self] in performActions(course.timePassed(at: loop.now)) }
    }

    deinit { socket?.close() }

    package var counts: StoreCounts { course.counts }

    /// Whether commands are taken now.
    package var isReady: Bool { course.state == .ready }

    package func startConnecting() { performActions(course.timePassed(at: loop.now)) }

    /// Ends the connection, and makes no other.
    package func closeStore() { performActions(course.close()) }

    package func runCommands(_ commands: [StoreCommand]) async throws(StoreFailure) -> [StoreReply] {
        let (id, actions) = try course.sendBatch(commands, at: loop.now)
        awaited.insert(id)
        performActions(actions)
        while outcomes[id] == nil { await changed.wait() }
        awaited.remove(id)
        guard let outcome = outcomes.removeValue(forKey: id) else { throw .disconnected }
        return try outcome.get()
    }

    /// Sends a command whose answer does not matter: the process ends.
    package func sendLast(_ command: StoreCommand) {
        guard let (_, actions) = try? course.sendBatch([command], at: loop.now) else { return }
        performActions(actions)
    }

    private func performActions(_ actions: [StoreCourse.Action]) {
        for action in actions { performAction(action) }
        timer.set(course.deadline)
    }

    private func performAction(_ action: StoreCourse.Action) {
        switch action {
        case .connect: loop.spawn { await self.connect() }
        case .send(let bytes): socket?.write(bytes)
        // It stays until there is another one: it may be in the middle of its own callback.
        case .disconnect: socket?.close()
        case .becameReady: loop.spawn { self.user?.storeBecameReady() }
        case .cameUp: log?.write(.info, "store_up") { $0.field("store", settings.name) }
        case .wentDown(let failure):
            log?.write(.warning, "store_down") { line in
                line.field("store", settings.name)
                line.field("reason", failure.reason)
            }
        case .finish(let id, let replies): endBatch(id, .success(replies))
        case .fail(let id, let failure): endBatch(id, .failure(failure))
        }
    }

    private func endBatch(_ id: Int, _ outcome: Result<[StoreReply], StoreFailure>) {
        guard awaited.contains(id) else { return }
        outcomes[id] = outcome
        changed.signal()
    }

    // MARK: Connecting

    private func connect() async {
        do throws(SystemError) {
            let socket = try await connectSocket()
            guard course.state == .connecting else { return socket.close() }
            self.socket = socket
            performActions(course.connected(at: loop.now))
            socket.startReading(self)
        } catch {
            performActions(course.disconnected(.unreachable(error.description), at: loop.now))
        }
    }

    /// A connection to the first address that takes it.
    private func connectSocket() async throws(SystemError) -> Socket {
        let end = loop.now + StoreLimits.connectTimeout
        let addresses = try await resolver.resolveName(until: end)
        var failure = SystemError("connect", code: SystemError.timedOut)
        for (index, address) in addresses.enumerated() {
            let share = (end - loop.now) / (addresses.count - index)
            do throws(SystemError) {
                return try await Socket.connectSocket(
                    to: address, on: loop, timeout: max(share, .milliseconds(1)), tls: tls)
            } catch {
                failure = error
            }
        }
        throw failure
    }
}

extension Store: SocketHandler {
    package func receivedBytes(_ bytes: Span<UInt8>) { performActions(course.received(bytes, at: loop.now)) }

    package func writesDrained() {}

    package func socketEnded(_ error: SystemError?) {
        performActions(course.disconnected(.disconnected, at: loop.now))
    }
}
