/// Metrics in Prometheus' text format, version 0.0.4.
package struct MetricsText {
    package static let contentType: StaticString = "text/plain; version=0.0.4; charset=utf-8"

    package typealias Labels = [(name: String, value: String)]
    package typealias Sample = (labels: Labels, value: Int)
    package typealias Series = (labels: Labels, histogram: DurationHistogram)

    private var text = ""

    package init() {}

    package var bytes: [UInt8] { Array(text.utf8) }

    /// Begins a metric; its samples follow.
    private mutating func beginMetric(_ metric: Metric) {
        text += "# HELP \(metric.name) \(metric.help)\n# TYPE \(metric.name) \(metric.kind.rawValue)\n"
    }

    /// A metric of one sample.
    package mutating func addMetric(_ metric: Metric, _ value: Int, _ labels: Labels = []) {
        addMetric(metric, [(labels, value)])
    }

    /// A metric with a sample for each set of labels.
    package mutating func addMetric(_ metric: Metric, _ samples: [Sample]) {
        if samples.isEmpty { return }
        beginMetric(metric)
        for sample in samples { sampleLine(metric.name, sample.labels, "\(sample.value)") }
    }

    /// A metric of one sample in seconds.
    package mutating func addMetric(_ metric: Metric, nanoseconds: Int) {
        beginMetric(metric)
        sampleLine(metric.name, [], MetricsText.secondsText(nanoseconds))
    }

    /// A summary of which only the sum and the number are known.
    package mutating func addMetric(_ metric: Metric, sum: Int, count: Int) {
        beginMetric(metric)
        sampleLine("\(metric.name)_sum", [], "\(sum)")
        sampleLine("\(metric.name)_count", [], "\(count)")
    }

    package mutating func addMetric(_ metric: Metric, _ series: [Series]) {
        if series.isEmpty { return }
        beginMetric(metric)
        for (labels, histogram) in series {
            var cumulative = 0
            for (bound, number) in zip(DurationTable.bounds, histogram.counts) {
                cumulative += number
                sampleLine("\(metric.name)_bucket", labels + [("le", MetricsText.secondsText(bound))], "\(cumulative)")
            }
            sampleLine("\(metric.name)_bucket", labels + [("le", "+Inf")], "\(histogram.count)")
            sampleLine("\(metric.name)_sum", labels, MetricsText.secondsText(histogram.nanoseconds))
            sampleLine("\(metric.name)_count", labels, "\(histogram.count)")
        }
    }

    private mutating func sampleLine(_ name: String, _ labels: Labels, _ value: String) {
        text += name
        if !labels.isEmpty {
            text += "{"
            text += labels.map { "\($0.name)=\"\(MetricsText.escapedLabel($0.value))\"" }.joined(separator: ",")
            text += "}"
        }
        text += " \(value)\n"
    }

    /// Nanoseconds as seconds, exactly, and without zeros at the end.
    package static func secondsText(_ nanoseconds: Int) -> String {
        let (whole, rest) = nanoseconds.magnitude.quotientAndRemainder(dividingBy: 1_000_000_000)
        let sign = nanoseconds < 0 ? "-" : ""
        if rest == 0 { return "\(sign)\(whole)" }
        var digits = String(rest)
        digits = String(repeating: "0", count: 9 - digits.count) + digits
        while digits.last == "0" { digits.removeLast() }
        return "\(sign)\(whole).\(digits)"
    }

    private static func escapedLabel(_ value: String) -> String {
        var result = ""
        for scalar in value.unicodeScalars {
            switch scalar {
            case "\\": result += "\\\\"
            case "\"": result += "\\\""
            case "\n": result += "\\n"
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result
    }
}
