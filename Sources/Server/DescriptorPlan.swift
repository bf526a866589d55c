import Configuration

/// How the descriptors that the process may have are shared out, so that no part of it can take those of another.
///
/// What is needed for the rest comes first; clients get what is left. A client that finds none waits in the kernel's backlog,
/// and one that was let in finds a connection to the server.
struct DescriptorPlan: Equatable {
    /// Answers and notifications on their way to servers: each has a connection until the server has taken it.
    static let sending = 512
    /// Loops, listeners, the log, name servers, and what the libraries have.
    private static let own = 64
    /// A child's three pipes, and the descriptor that tells its end.
    private static let child = 4
    /// As `AdminService` has them.
    private static let admin = 64
    /// Sessions that are being deleted have connections too. An idle connection to the server was counted with the call that it
    /// was made for, and lives for 3 s: it has none of its own here.
    private static let ofLoop = 8 + 16
    /// Less than this makes no sense, whatever the limit.
    private static let fewest = 16

    /// Connections of clients, in all loops.
    let clients: Int
    /// Messages that are no requests, in all loops.
    let sending: Int
    /// What would be enough for everything that the configuration allows.
    let wanted: Int

    /// - Parameter limit: of the process; nil to find out what is wanted.
    init(_ configuration: Configuration, limit: Int? = nil) {
        let isCommand = if case .command = configuration.backends[0].place { true } else { false }
        self.init(
            Needs(
                clients: configuration.limits.maxConnections, sessions: configuration.sessions.max,
                parked: configuration.interaction.maxParked + configuration.tasks.max, loops: configuration.threads,
                startsProcesses: isCommand,
                hasOlderClients: configuration.listen.legacyClients == .pass,
                hasPeers: configuration.replicas.group != nil), limit: limit)
    }

    struct Needs {
        var clients: Int
        var sessions: Int
        var parked: Int
        var loops: Int
        var startsProcesses: Bool
        var hasOlderClients: Bool
        var hasPeers: Bool
    }

    init(_ needs: Needs, limit: Int?) {
        let rest = DescriptorPlan.own + DescriptorPlan.admin + needs.loops * DescriptorPlan.ofLoop
        // A parked call, and a task that waits for answers, keep their connections to the server while their clients have none here, and
        // each session has a GET stream.
        let ofSessions =
            needs.startsProcesses ? needs.sessions * DescriptorPlan.child : needs.sessions + needs.parked
        // A call of a client is one connection to the server too; one that another replica brings, or an older client's that
        // another loop serves, two within the process.
        let handsOver = needs.startsProcesses && needs.hasOlderClients && needs.loops > 1 && !needs.hasPeers
        let ofClient = (needs.startsProcesses ? 1 : 2) + (needs.hasPeers ? 3 : handsOver ? 2 : 0)
        let sending = needs.startsProcesses ? 0 : DescriptorPlan.sending
        wanted = rest + ofSessions + sending + needs.clients * ofClient
        let limit = limit ?? wanted
        // With few, half is for clients: what sessions and parked calls might take, most never do.
        let (least, room) = (limit / 2, limit - rest - ofSessions - sending)
        clients = min(needs.clients, max(DescriptorPlan.fewest, max(least, room) / ofClient))
        self.sending =
            needs.startsProcesses ? DescriptorPlan.sending : min(sending, max(DescriptorPlan.fewest, limit / 8))
    }
}
