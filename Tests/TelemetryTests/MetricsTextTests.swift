import Testing

@testable import Telemetry

@Suite struct MetricsTextTests {
    private static func text(_ fill: (inout MetricsText) -> Void) -> String {
        var text = MetricsText()
        fill(&text)
        return String(decoding: text.bytes, as: UTF8.self)
    }

    @Test func aGaugeIsThreeLines() {
        #expect(
            Self.text { $0.addMetric(.activeRequests, 3) } == """
                # HELP http_server_active_requests Requests that are being answered.
                # TYPE http_server_active_requests gauge
                http_server_active_requests 3

                """)
    }

    @Test func aMetricWithoutSamplesIsNotMentioned() {
        #expect(Self.text { $0.addMetric(.responses, [MetricsText.Sample]()) } == "")
    }

    @Test func labelValuesAreEscaped() {
        let text = Self.text { $0.addMetric(.buildInfo, 1, [("version", "a\"b\\c\nd"), ("other", "é")]) }
        #expect(text.hasSuffix(#"remora_build_info{version="a\"b\\c\nd",other="é"} 1"# + "\n"))
    }

    @Test func aHistogramIsCumulativeAndEndsWithEverything() {
        var table = DurationTable()
        table.recordDuration(nanoseconds: 500_000)
        table.recordDuration(nanoseconds: 1_500_000)
        table.recordDuration(nanoseconds: 400_000_000_000)
        let text = Self.text { $0.addMetric(.operationDuration, [([("m", "x")], table.histogram())]) }
        let lines = text.split(separator: "\n").dropFirst(2).map(String.init)
        let name = "mcp_server_operation_duration_seconds"
        #expect(lines.count == DurationTable.bounds.count + 3)
        #expect(lines[0] == #"\#(name)_bucket{m="x",le="0.001"} 1"#)
        #expect(lines[1] == #"\#(name)_bucket{m="x",le="0.002"} 2"#)
        #expect(lines[lines.count - 4] == #"\#(name)_bucket{m="x",le="300"} 2"#)
        #expect(lines[lines.count - 3] == #"\#(name)_bucket{m="x",le="+Inf"} 3"#)
        #expect(lines[lines.count - 2] == #"\#(name)_sum{m="x"} 400.002"#)
        #expect(lines[lines.count - 1] == #"\#(name)_count{m="x"} 3"#)
    }

    @Test(
        arguments: [
            (0, "0"), (1, "0.000000001"), (1_000_000_000, "1"), (1_500_000_000, "1.5"), (-2_000_000, "-0.002"),
            (1_795_237_664_283_048_328, "1795237664.283048328"), (.max, "9223372036.854775807"),
            (.min, "-9223372036.854775808"),
        ])
    func secondsAreExact(nanoseconds: Int, text: String) {
        #expect(MetricsText.secondsText(nanoseconds) == text)
    }

    /// What Prometheus asks of names: https://prometheus.io/docs/practices/naming.
    @Test(arguments: Metric.all.map(\.name)) func namesAreWellFormed(name: String) throws {
        let metric = try #require(Metric.all.first { $0.name == name })
        #expect(
            name.utf8.allSatisfy { $0 == UInt8(ascii: "_") || (UInt8(ascii: "a")...UInt8(ascii: "z")).contains($0) })
        #expect(name.hasSuffix("_total") == (metric.kind == .counter))
        #expect(Metric.all.count { $0.name == name } == 1)
        #expect(metric.help.hasSuffix(".") && !metric.help.contains("\n") && !metric.help.contains("\\"))
    }

    @Test func theProcessTellsItsNumbers() throws {
        let numbers = ProcessNumbers()
        #expect(try #require(numbers.residentMemory) > 1 << 20)
        #expect(try #require(numbers.processorTime) > 0)
        let open = try #require(numbers.openDescriptors)
        #expect(open >= 3)
        if let limit = numbers.maxDescriptors { #expect(limit >= open) }
        #expect(ProcessNumbers.wallClock() > 1_700_000_000_000_000_000)
    }
}
