package import Gateway
import Legacy
package import Store
package import Telemetry

/// Everything that is shown, at one moment.
package struct Overview: Sendable {
    package var settings: AdminSettings
    package var counts: WorkerCounts
    /// Nil: there is no store.
    package var store: StoreCounts?
    package var isDraining: Bool
    package var reloads: ReloadCounts
    /// Durations of the last minutes, and how many minutes these are.
    package var recent: (durations: DurationHistogram, period: Duration)
    package var process: ProcessNumbers
    package var droppedLogLines: Int
    package var internalErrors: Int
    /// Nanoseconds since 1970.
    package var startWallClock: Int
    package var uptime: Duration

    package init(
        settings: AdminSettings, counts: WorkerCounts, store: StoreCounts?, isDraining: Bool, reloads: ReloadCounts,
        recent: (durations: DurationHistogram, period: Duration), process: ProcessNumbers, droppedLogLines: Int,
        internalErrors: Int, startWallClock: Int, uptime: Duration
    ) {
        self.settings = settings
        self.counts = counts
        self.store = store
        self.isDraining = isDraining
        self.reloads = reloads
        self.recent = recent
        self.process = process
        self.droppedLogLines = droppedLogLines
        self.internalErrors = internalErrors
        self.startWallClock = startWallClock
        self.uptime = uptime
    }

    /// Until a certificate expires; negative where it has.
    func timeLeft(until expiry: CertificateExpiry) -> Duration {
        .seconds(expiry.notAfter) - .nanoseconds(startWallClock) - uptime
    }

    /// How it goes, in one word.
    enum State: String {
        case ready, draining
        case unreachable = "backend_unreachable"
    }

    /// As far as is known: the page makes no attempt to connect.
    var state: State {
        if isDraining { return .draining }
        let isUnreachable = counts.backends.allSatisfy { $0.connections.last?.succeeded == false }
        return isUnreachable && !counts.backends.isEmpty ? .unreachable : .ready
    }
}
