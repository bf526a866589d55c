import MCP
import Telemetry

/// Where the requests of one gateway are counted and logged.
final class RequestBook {
    let tally: RequestTally
    let log: Log
    /// What clients have asked for in vain, because the server does not declare it.
    private var undeclared: Set<ServerCapability> = []

    init(tally: RequestTally, log: Log) {
        self.tally = tally
        self.log = log
    }

    /// Says once that clients ask for what the server does not declare: some have it all the same.
    func noteUndeclared(undeclared capability: ServerCapability) {
        guard undeclared.insert(capability).inserted else { return }
        log.write(.info, "capability_undeclared") { line in
            line.field("capability", capability.rawValue)
            line.field("advice", "if the server has \(capability.rawValue), add it to backends[].declare")
        }
    }

    /// A request is gone that nothing has ended: its client waits in vain, or was answered past it.
    func wasNotFinished() {
        tally.counts.requestEnded(
            RequestCounts.Ended(
                method: nil, nanoseconds: 0, status: 0, code: nil, side: nil, failure: nil, requestBytes: 0,
                responseBytes: 0, notifications: 0))
        log.internalError("a request was not finished")
    }

    /// A request had a second end, which is a fault of Remora's and was not carried out.
    func finishedTwice() { log.internalError("a request was finished twice") }
}
