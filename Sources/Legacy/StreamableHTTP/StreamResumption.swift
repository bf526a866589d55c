import Reactor

/// How a stream of events that ended too early is taken up again (2025-11-25, basic/transports, "Resumability and
/// Redelivery"). Servers also end streams on purpose, to be asked again later.
struct StreamResumption {
    /// Attempts in a row that may bring nothing. A server that knows the stream sends at least what is new on it.
    static let maxFruitless = 5
    /// The server's wish is kept within these bounds.
    private static let delays: ClosedRange<Duration> = .milliseconds(10) ... .seconds(30)
    private static let defaultDelay: Duration = .seconds(1)

    let lastEventID: [UInt8]
    let delay: Duration

    /// - Parameter retry: milliseconds, as the server's `retry` field had them.
    init(lastEventID: [UInt8], retry: Int?) {
        self.lastEventID = lastEventID
        let wish = retry.map { Duration.milliseconds($0) } ?? StreamResumption.defaultDelay
        delay = min(max(wish, StreamResumption.delays.lowerBound), StreamResumption.delays.upperBound)
    }
}
