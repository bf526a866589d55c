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
    private mutating func begin(_ metric: Metric) {
        text += "# HELP \(metric.name) \(metric.help)\n# TYPE \(metric.name) \(metric.kind.rawValue)\n"
    }

    /// A metric of one sample.
    package mutating func add(_ metric: Metric, _ value: Int, _ labels: Labels = []) {
        add(metric, [(labels, value)])
    }

    /// A metric with a sample for each set of labels.
    package mutating func add(_ metric: Metric, _ samples: [Sample]) {
        if samples.isEmpty { return }
        begin(metric)
        for sample in samples { line(metric.name, sample.labels, "\(sample.value)") }
    }

    /// A metric of one sample in seconds.
    package mutating func add(_ metric: Metric, nanoseconds: Int) {
        begin(metric)
        line(metric.name, [], MetricsText.seconds(nanoseconds))
    }

    /// A summary of which only the sum and the number are known.
    package mutating func add(_ metric: Metric, sum: Int, count: Int) {
        begin(metric)
        line("\(metric.name)_sum", [], "\(sum)")
        line("\(metric.name)_count", [], "\(count)")
    }

    package mutating func add(_ metric: Metric, _ series: [Series]) {
        if series.isEmpty { return }
        begin(metric)
        for (labels, histogram) in series {
            var cumulative = 0
            for (bound, number) in zip(DurationTable.bounds, histogram.counts) {
                cumulative += number
                line("\(metric.name)_bucket", labels + [("le", MetricsText.seconds(bound))], "\(cumulative)")
            }
            line("\(metric.name)_bucket", labels + [("le", "+Inf")], "\(histogram.count)")
            line("\(metric.name)_sum", labels, MetricsText.seconds(histogram.nanoseconds))
            line("\(metric.name)_count", labels, "\(histogram.count)")
        }
    }

    private mutating func line(_ name: String, _ labels: Labels, _ value: String) {
        text += name
        if !labels.isEmpty {
            text += "{"
            text += labels.map { "\($0.name)=\"\(MetricsText.escaped($0.value))\"" }.joined(separator: ",")
            text += "}"
        }
        text += " \(value)\n"
    }

    /// Nanoseconds as seconds, exactly, and without zeros at the end.
    package static func seconds(_ nanoseconds: Int) -> String {
        let (whole, rest) = nanoseconds.magnitude.quotientAndRemainder(dividingBy: 1_000_000_000)
        let sign = nanoseconds < 0 ? "-" : ""
        if rest == 0 { return "\(sign)\(whole)" }
        var digits = String(rest)
        digits = String(repeating: "0", count: 9 - digits.count) + digits
        while digits.last == "0" { digits.removeLast() }
        return "\(sign)\(whole).\(digits)"
    }

    private static func escaped(_ value: String) -> String {
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
