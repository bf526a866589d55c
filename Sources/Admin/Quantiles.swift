import Telemetry

/// The shares of calls whose duration is shown.
enum Quantiles {
    static let shown: [(name: String, share: Double)] = [("p50", 0.5), ("p90", 0.9), ("p99", 0.99)]

    /// In seconds; nil where nothing was counted, or longer than what is told apart.
    static func quantileSeconds(_ durations: DurationHistogram, _ share: Double) -> String? {
        switch durations.quantile(share) {
        case .atMost(let nanoseconds): MetricsText.secondsText(nanoseconds)
        case .beyond, nil: nil
        }
    }

    /// For a person.
    static func quantileWords(_ durations: DurationHistogram, _ share: Double) -> String {
        switch durations.quantile(share) {
        case .atMost(let nanoseconds): "≤ \(timeWords(nanoseconds))"
        case .beyond(let nanoseconds): "> \(timeWords(nanoseconds))"
        case nil: "–"
        }
    }

    private static func timeWords(_ nanoseconds: Int) -> String {
        nanoseconds < 1_000_000_000 ? "\(nanoseconds / 1_000_000) ms" : "\(nanoseconds / 1_000_000_000) s"
    }
}
