/// How a legacy server is reached.
protocol ReachableServer: LegacyServer {
    /// Tries to reach the server, for a caller that only wants to know whether that goes. `health` has the outcome.
    func tryToReach() async

    /// Whether the server can be reached without trying.
    var isReached: Bool { get }
}
