import Telemetry

/// The shares of calls whose duration is shown.
enum Quantiles {
    static let shown: [(name: String, share: Double)] = [("p50", 0.5), ("p90", 0.9), ("p99", 0.99)]

    /// In seconds; nil where nothing was counted, or longer than what is told apart.
    static func seconds(_ durations: DurationHistogram, _ share: Double) -> String? {
        switch durations.quantile(share) {
        case .atMost(let nanoseconds): MetricsText.seconds(nanoseconds)
        case .beyond, nil: nil
        }
    }

    /// For a person.
    static func words(_ durations: DurationHistogram, _ share: Double) -> String {
        switch durations.quantile(share) {
        case .atMost(let nanoseconds): "≤ \(time(nanoseconds))"
        case .beyond(let nanoseconds): "> \(time(nanoseconds))"
        case nil: "–"
        }
    }

    private static func time(_ nanoseconds: Int) -> String {
        nanoseconds < 1_000_000_000 ? "\(nanoseconds / 1_000_000) ms" : "\(nanoseconds / 1_000_000_000) s"
    }
}
