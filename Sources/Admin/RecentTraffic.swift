package import Reactor
package import Telemetry

/// The durations of the last minutes: what was counted since the start says little of now.
package final class RecentTraffic {
    /// Between two samples.
    package static let interval: Duration = .seconds(10)
    /// Samples kept: five minutes of them.
    private static let capacity = 30

    private var samples: [(at: Instant, total: DurationHistogram)]

    package init(at now: Instant) { samples = [(now, DurationHistogram())] }

    /// Notes what was counted so far.
    package func noteTotal(_ total: DurationHistogram, at now: Instant) {
        if samples.count > RecentTraffic.capacity { samples.removeFirst() }
        samples.append((now, total))
    }

    /// What was counted since the oldest sample, and how long ago that was.
    package func trafficSince(
        _ total: DurationHistogram, at now: Instant
    ) -> (durations: DurationHistogram, period: Duration) {
        (total.since(samples[0].total), now - samples[0].at)
    }
}
