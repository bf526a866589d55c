import Foundation
import Gateway
import Legacy
import Reactor
import Store
import Telemetry
import Testing

@testable import Admin

/// The three renderings, without sockets.
@Suite struct AdminPageTests {
    private static func overview(
        draining: Bool = false, backend: String = "http://127.0.0.1:9000", reloads: ReloadCounts = ReloadCounts(),
        certificates: [CertificateExpiry] = [],
        _ change: (inout WorkerCounts) -> Void = { _ in }
    ) -> Overview {
        var counts = WorkerCounts()
        counts.addCounts(BackendCounts(label: backend))
        change(&counts)
        let door = Door(allowedOrigins: [], allowedHosts: [], isLoopback: true)
        return Overview(
            settings: AdminSettings(
                door: door, maxSessions: 64, maxConnections: 10_000, maxParked: 1024, threads: 2,
                certificates: certificates),
            counts: counts, store: StoreCounts(), isDraining: draining, reloads: reloads,
            recent: (DurationHistogram(), .seconds(30)),
            process: ProcessNumbers(), droppedLogLines: 7, internalErrors: 3, startWallClock: 1_795_237_664_283_048_328,
            uptime: .seconds(90))
    }

    private static func metrics(_ overview: Overview) -> [Substring] {
        String(decoding: MetricsPage.pageText(overview), as: UTF8.self).split(separator: "\n")
    }

    private static func json(_ overview: Overview) throws -> [String: Any] {
        let object = try JSONSerialization.jsonObject(with: Data(StatusDocument.documentText(overview)))
        return try #require(object as? [String: Any])
    }

    @Test func everyMetricIsRenderedOrHasNothingToSay() {
        let lines = Self.metrics(Self.overview())
        let silent: Set = [
            "remora_http_responses_total", "remora_errors_total", "remora_backend_reachable",
            "remora_last_reload_time_seconds", "remora_last_reload_success", "remora_certificate_expiry_time_seconds",
        ]
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
                var worker = WorkerCounts()
                worker.sessions.open = number
                worker.sessions.opened = 10 * number
                var backend = BackendCounts(label: "http://127.0.0.1:9000")
                backend.connections.made = number
                backend.load = number
                worker.addCounts(backend)
                worker.connections = number
                sum.addCounts(worker)
            }
        }
        let lines = Self.metrics(overview)
        #expect(lines.contains(#"remora_sessions{state="open"} 6"#))
        #expect(lines.contains("remora_sessions_opened_total 60"))
        #expect(lines.contains(#"remora_backend_connects_total{backend="http://127.0.0.1:9000"} 6"#))
        #expect(lines.contains(#"remora_backend_load{backend="http://127.0.0.1:9000"} 6"#))
        #expect(lines.contains("remora_client_connections 6"))
    }

    @Test func aReloadThatFailedIsShownEverywhere() throws {
        var reloads = ReloadCounts()
        reloads.noteSuccess(at: 1_000_000_000)
        reloads.noteFailure(at: 2_500_000_000, ["remora.yaml:3:1: unknown key <b>"])
        let overview = Self.overview(reloads: reloads)
        let lines = Self.metrics(overview)
        #expect(lines.contains(#"remora_reloads_total{result="failure"} 1"#))
        #expect(lines.contains("remora_last_reload_time_seconds 2.5"))
        #expect(lines.contains("remora_last_reload_success 0"))
        let last = (try Self.json(overview)["reloads"] as? [String: Any])?["last"] as? [String: Any]
        #expect(last?["succeeded"] as? Bool == false)
        #expect(last?["reason"] as? String == "remora.yaml:3:1: unknown key <b>")
        #expect(StatusPage.pageText(overview).contains("remora.yaml:3:1: unknown key &lt;b&gt;"))
    }

    @Test func certificatesExpire() throws {
        // 90 s after the start of these overviews.
        let now = 1_795_237_754
        let overview = Self.overview(certificates: [
            CertificateExpiry(setting: "listen.tls.certificate", notAfter: now + 86400 * 40),
            CertificateExpiry(setting: "backends[0].tls.certificate", notAfter: now + 86400 * 3 + 10),
            CertificateExpiry(setting: "backends[1].tls.certificate", notAfter: now - 10),
        ])
        let name = "remora_certificate_expiry_time_seconds"
        #expect(Self.metrics(overview).contains("\(name){setting=\"listen.tls.certificate\"} \(now + 86400 * 40)"))
        let found = try #require(try Self.json(overview)["certificates"] as? [[String: Any]])
        #expect(found.map { $0["expires_unix_seconds"] as? Int } == [now + 3_456_000, now + 259_210, now - 10])
        let page = StatusPage.pageText(overview)
        #expect(page.contains("<code>listen.tls.certificate</code></td><td class=\"number\">in 39 days</td>"))
        for words in ["in 3 days", "expired"] { #expect(page.contains("<span class=\"bad\">\(words)</span>")) }
        #expect(!StatusPage.pageText(Self.overview()).contains("certificate"))
    }

    @Test func whatIsUnreachableIsEveryCopy() throws {
        func overview(_ succeeded: Bool...) -> Overview {
            Self.overview { counts in
                counts.backends = succeeded.enumerated().map { index, succeeded in
                    var backend = BackendCounts(label: "\(index)")
                    backend.connections.last = .init(succeeded: succeeded, at: Instant(nanoseconds: 0))
                    return backend
                }
            }
        }
        #expect(try Self.json(overview(true, false))["state"] as? String == "ready")
        #expect(try Self.json(overview(false, false))["state"] as? String == "backend_unreachable")
    }

    @Test func stateIsTheSameEverywhere() throws {
        #expect(try Self.json(Self.overview())["state"] as? String == "ready")
        #expect(try Self.json(Self.overview(draining: true))["state"] as? String == "draining")
        #expect(StatusPage.pageText(Self.overview(draining: true)).contains("<title>Remora: draining</title>"))
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
        let page = StatusPage.pageText(Self.overview(backend: #"http://<script>&"'"#))
        #expect(page.contains("http://&lt;script&gt;&amp;&quot;&#39;"))
        #expect(!page.contains("<script"))
    }

    @Test func thePageLoadsNothing() {
        let page = StatusPage.pageText(Self.overview())
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
            table.recordDuration(nanoseconds: 1)
            now = now + RecentTraffic.interval
            recent.noteTotal(table.totalHistogram(), at: now)
        }
        let (durations, period) = recent.trafficSince(table.totalHistogram(), at: now)
        #expect(period == .seconds(300))
        #expect(durations.count == 30)
    }

    @Test func atTheBeginningItIsTheTimeSinceThen() {
        var table = DurationTable()
        let recent = RecentTraffic(at: Instant(nanoseconds: 0))
        table.recordDuration(nanoseconds: 1)
        let (durations, period) = recent.trafficSince(table.totalHistogram(), at: Instant(nanoseconds: 2_000_000_000))
        #expect(period == .seconds(2))
        #expect(durations.count == 1)
    }
}
