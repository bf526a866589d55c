import HTTPTransport
package import Reactor

/// Hears what is found out about the copies of a server. Called on the loop.
protocol BackendObserver: AnyObject {
    /// - Parameter trouble: why the copy is aside; `nil`: it is in use.
    func backendFound(_ index: BackendChoice.Index, _ trouble: String?)
}

/// The copies of one server, as one loop reaches them: a session is opened on the one that `BackendChoice` says, and stays
/// there.
package final class Backends: AttemptObserver {
    package let all: [LegacyServer]
    /// The same, as they are reached, and as sessions are opened there.
    let servers: [any PooledServer]
    /// The same, where they are reached over HTTP; else none.
    package let overHTTP: [Backend]
    private var choice: BackendChoice
    private let trials: Deadline
    weak var observer: (any BackendObserver)?

    package var loop: Loop { all[0].loop }
    package var limits: Backend.Limits { all[0].limits }

    /// Copies that are reached over HTTP.
    ///
    /// - Parameters:
    ///   - copies: at least one, all on the same loop.
    ///   - first: which of them is chosen first.
    ///   - before: those of the configuration before, some of which may be the same: they are used by these from now on.
    package convenience init(_ copies: [Backend], first: Int = 0, after before: Backends? = nil) {
        self.init(of: copies, overHTTP: copies, first: first, after: before)
    }

    /// Commands, each of which is started for a session.
    package convenience init(_ copies: [CommandBackend], first: Int = 0, after before: Backends? = nil) {
        self.init(of: copies, overHTTP: [], first: first, after: before)
    }

    init(of servers: [any PooledServer], overHTTP: [Backend] = [], first: Int = 0, after before: Backends? = nil) {
        self.servers = servers
        self.overHTTP = overHTTP
        all = servers.map { $0 as LegacyServer }
        choice = BackendChoice(count: all.count, first: first)
        trials = Deadline(on: all[0].loop)
        // These have the deadline, which ends with them.
        trials.onExpiry = { [unowned self] in tryAgain() }
        for (index, backend) in all.enumerated() {
            backend.attemptObserver = self
            backend.hasAlternative = { [weak self] in self?.choice.hasAlternative(to: index) ?? false }
            if let before, let old = before.copyIndex(of: backend) { choice.copyState(index, from: before.choice, old) }
        }
        if before != nil { planTrial() }
    }

    /// The place of a server among these; nil where it is none of them.
    package func copyIndex(of server: LegacyServer) -> BackendChoice.Index? { all.firstIndex { $0 === server } }

    /// What tells them from other servers, as the configuration names them.
    package var name: [UInt8] { Array(all.map(\.name).joined(separator: [UInt8(ascii: " ")])) }

    /// See ``Backend/pinsConnections``.
    package var pinsConnections: Bool { overHTTP.first?.pinsConnections == true }

    /// Whether the session of an older client is a process or an event stream of its own, rather than one that the server
    /// gives out over Streamable HTTP; nil where that has to be found out.
    package var carriesClients: Bool? {
        if startsProcesses { return true }
        return overHTTP.contains { $0.isOverEventStreams == true } ? true : overHTTP.first?.isOverEventStreams
    }

    /// Whether each session is a process, which takes its time to end.
    package var startsProcesses: Bool { all[0].startsProcesses }

    /// A copy for something that lasts there. To be followed by one ``leaveCopy(_:)``.
    ///
    /// - Parameter excluded: those that were tried already.
    package func enterCopy(except excluded: Set<BackendChoice.Index> = []) -> BackendChoice.Index? {
        guard let index = choice.nextCopy(except: excluded) else { return nil }
        choice.addLoad(index)
        return index
    }

    /// The same for what has to be at a certain one.
    package func enterCopy(_ index: BackendChoice.Index) { choice.addLoad(index) }

    package func leaveCopy(_ index: BackendChoice.Index) { choice.removeLoad(index) }

    /// One that can be asked something over HTTP, which is soon over.
    package func anyCopy() -> Backend {
        // There is at least one, and none is excluded.
        guard let index = choice.nextCopy() else { preconditionFailure("a server without a copy") }
        return overHTTP[index]
    }

    /// The copy gave a session.
    func noteSession(_ index: BackendChoice.Index) {
        choice.noteSession(index)
        observer?.backendFound(index, nil)
    }

    /// The copy was reached, and gave no session.
    func noteFailure(_ index: BackendChoice.Index, _ trouble: String) {
        choice.noteFailure(index, isReached: true, at: loop.now)
        observer?.backendFound(index, trouble)
        planTrial()
    }

    func attemptEnded(at server: LegacyServer, _ failure: String?) {
        guard let index = copyIndex(of: server) else { return }
        if let failure {
            choice.noteFailure(index, at: loop.now)
            observer?.backendFound(index, failure)
            planTrial()
        } else {
            choice.noteConnection(index)
            // One that gave no session before is aside until it gives one.
            if !choice.isAside(index) { observer?.backendFound(index, nil) }
        }
    }

    /// Whether a copy is in use beside this one.
    func hasAlternative(to index: BackendChoice.Index) -> Bool { choice.hasAlternative(to: index) }

    /// Finds out at the start which of them can be reached. Where each connection is a session's, none is made for that.
    func probeCopies() {
        if pinsConnections { return }
        for backend in servers where backend.health.last == nil { loop.spawn { await backend.tryToReach() } }
    }

    // MARK: Those that are aside

    /// Where there is only one, calls themselves try it.
    private func planTrial() { if all.count > 1 { trials.set(choice.nextTrial) } }

    /// Tries copies whose pause is over without a request, so that no call pays for one that is still away.
    private func tryAgain() {
        for index in choice.toTry(at: loop.now) {
            let backend = servers[index]
            loop.spawn { await backend.tryToReach() }
        }
        planTrial()
    }

    /// They are not needed any more, but for those that another configuration has too.
    func stopCopies(except others: Backends? = nil) {
        trials.set(nil)
        observer = nil
        for backend in all where others?.copyIndex(of: backend) == nil {
            backend.attemptObserver = nil
            backend.closeIdle()
        }
    }

    // MARK: Numbers

    package var counts: [BackendCounts] {
        all.enumerated().map { index, backend in
            BackendCounts(
                label: backend.label, connections: backend.connectionCounts, load: choice.copyLoad(of: index),
                isAside: choice.isAside(index))
        }
    }

    /// Whether one of them takes connections. See `ReachableServer.checkReachability`.
    package func checkReachability(patience: Duration) async -> Bool {
        let check = Check(waitingFor: all.count)
        for backend in servers {
            loop.spawn {
                check.isReachable = await backend.checkReachability(patience: patience) || check.isReachable
                check.waiting -= 1
                check.changed.signal()
            }
        }
        while !check.isReachable, check.waiting > 0 { await check.changed.wait() }
        return check.isReachable
    }

    private final class Check {
        var isReachable = false
        var waiting: Int
        let changed = Wakeup()

        init(waitingFor count: Int) { waiting = count }
    }
}

/// What a pool needs of a server.
typealias PooledServer = ReachableServer & SessionOpener & ChannelOpener

/// What one loop knows of a copy of the server.
package struct BackendCounts: Sendable {
    /// As it may be shown.
    package let label: String
    package var connections: ConnectionCounts
    /// Sessions, and requests that are forwarded.
    package var load: Int
    package var isAside: Bool

    package init(
        label: String, connections: ConnectionCounts = ConnectionCounts(), load: Int = 0, isAside: Bool = false
    ) {
        self.label = label
        self.connections = connections
        self.load = load
        self.isAside = isAside
    }

    /// Adds those of another loop.
    package mutating func addCounts(_ other: BackendCounts) {
        connections.addCounts(other.connections)
        load += other.load
        isAside = isAside || other.isAside
    }
}
