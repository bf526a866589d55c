import Foundation
import Gateway
import Legacy
import Reactor
import Telemetry
import Testing

@testable import Admin

/// The three renderings, without sockets.
@Suite struct AdminPageTests {
    private static func overview(
        draining: Bool = false, backend: String = "http://127.0.0.1:9000",
        _ change: (inout ShardCounts) -> Void = { _ in }
    ) -> Overview {
        var counts = ShardCounts()
        change(&counts)
        let door = Door(allowedOrigins: [], allowedHosts: [], isLoopback: true)
        return Overview(
            settings: AdminSettings(
                door: door, backendName: backend, maxSessions: 64, maxConnections: 10_000, maxParked: 1024,
                threads: 2),
            counts: counts, isDraining: draining, recent: (DurationHistogram(), .seconds(30)),
            process: ProcessNumbers(), droppedLogLines: 7, startWallClock: 1_795_237_664_283_048_328,
            uptime: .seconds(90))
    }

    private static func metrics(_ overview: Overview) -> [Substring] {
        String(decoding: MetricsPage.text(overview), as: UTF8.self).split(separator: "\n")
    }

    private static func json(_ overview: Overview) throws -> [String: Any] {
        let object = try JSONSerialization.jsonObject(with: Data(StatusDocument.text(overview)))
        return try #require(object as? [String: Any])
    }

    @Test func everyMetricIsRenderedOrHasNothingToSay() {
        let lines = Self.metrics(Self.overview())
        let silent: Set = ["remora_http_responses_total", "remora_errors_total", "remora_backend_reachable"]
        for metric in Metric.all where metric.kind != .gauge || metric.name != "process_max_fds" {
            let isThere = lines.contains("# TYPE \(metric.name) \(metric.kind.rawValue)")
            #expect(isThere != silent.contains(metric.name), "\(metric.name)")
        }
    }

    @Test func operationsPageExplainsEveryMetric() throws {
        let root = #filePath.split(separator: "/").dropLast(3).joined(separator: "/")
        let page = try String(contentsOfFile: "/\(root)/docs/operations.md", encoding: .utf8)
        for metric in Metric.all { #expect(page.contains("| `\(metric.name)"), "\(metric.name)") }
    }

    @Test func loopsAreAddedUp() {
        let overview = Self.overview { sum in
            for number in 1...3 {
                var shard = ShardCounts()
                shard.sessions.open = number
                shard.sessions.opened = 10 * number
                shard.backend.made = number
                shard.connections = number
                sum.add(shard)
            }
        }
        let lines = Self.metrics(overview)
        #expect(lines.contains(#"remora_sessions{state="open"} 6"#))
        #expect(lines.contains("remora_sessions_opened_total 60"))
        #expect(lines.contains("remora_backend_connects_total 6"))
        #expect(lines.contains("remora_client_connections 6"))
    }

    @Test func stateIsTheSameEverywhere() throws {
        #expect(try Self.json(Self.overview())["state"] as? String == "ready")
        #expect(try Self.json(Self.overview(draining: true))["state"] as? String == "draining")
        #expect(StatusPage.text(Self.overview(draining: true)).contains("<title>Remora: draining</title>"))
    }

    @Test func jsonSaysWhatIsNotKnown() throws {
        let status = try Self.json(Self.overview())
        let backend = try #require((status["backends"] as? [[String: Any]])?.first)
        #expect(backend["reachable"] is NSNull)
        let recent = try #require((status["requests"] as? [String: Any])?["recent"] as? [String: Any])
        #expect(recent["p50_seconds"] is NSNull)
        #expect(recent["period_seconds"] as? Int == 30)
    }

    @Test func namesAreEscapedInThePage() {
        let page = StatusPage.text(Self.overview(backend: #"http://<script>&"'"#))
        #expect(page.contains("http://&lt;script&gt;&amp;&quot;&#39;"))
        #expect(!page.contains("<script"))
    }

    @Test func thePageLoadsNothing() {
        let page = StatusPage.text(Self.overview())
        for word in ["src=", "href=", "url(", "@import", "<script", "<iframe", "<form", "<link"] {
            #expect(!page.contains(word), "\(word)")
        }
    }
}

@Suite struct RecentTrafficTests {
    @Test func whatIsOlderThanFiveMinutesIsForgotten() {
        var table = DurationTable()
        var now = Instant(nanoseconds: 0)
        let recent = RecentTraffic(at: now)
        // One request an interval, for an hour.
        for _ in 0..<360 {
            table.record(nanoseconds: 1)
            now = now + RecentTraffic.interval
            recent.note(table.total(), at: now)
        }
        let (durations, period) = recent.since(table.total(), at: now)
        #expect(period == .seconds(300))
        #expect(durations.count == 30)
    }

    @Test func atTheBeginningItIsTheTimeSinceThen() {
        var table = DurationTable()
        let recent = RecentTraffic(at: Instant(nanoseconds: 0))
        table.record(nanoseconds: 1)
        let (durations, period) = recent.since(table.total(), at: Instant(nanoseconds: 2_000_000_000))
        #expect(period == .seconds(2))
        #expect(durations.count == 1)
    }
}
