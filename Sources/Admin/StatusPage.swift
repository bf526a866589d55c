import Gateway
import Legacy
import MCP
import Telemetry

/// `/status`: one page that loads nothing and reads itself anew.
enum StatusPage {
    static func text(_ overview: Overview) -> String {
        """
        <!DOCTYPE html>
        <html lang="en">
        <head>
        <meta charset="utf-8">
        <meta name="viewport" content="width=device-width, initial-scale=1">
        <meta name="color-scheme" content="light dark">
        <meta http-equiv="refresh" content="5">
        <title>Remora: \(title(overview.state))</title>
        <style>\(style)</style>
        </head>
        <body>
        \(header(overview))
        <main>
        \(traffic(overview))
        \(sessions(overview))
        \(backends(overview.counts.backends))
        \(kept(overview))
        \(errors(overview))
        \(methods(overview.counts.requests))
        \(process(overview))
        </main>
        </body>
        </html>

        """
    }

    // MARK: Sections

    private static func header(_ overview: Overview) -> String {
        """
        <header class="\(overview.state.rawValue)">
        <h1>Remora</h1>
        <p class="state">\(title(overview.state))</p>
        <p class="about">version \(escaped(Version.current)) · up \(duration(overview.uptime))</p>
        </header>
        """
    }

    private static func title(_ state: Overview.State) -> String {
        switch state {
        case .ready: "ready"
        case .draining: "draining"
        case .unreachable: "server unreachable"
        }
    }

    private static func traffic(_ overview: Overview) -> String {
        let (recent, requests) = (overview.recent.durations, overview.counts.requests)
        let cells = Quantiles.shown.map { cell($0.name, Quantiles.words(recent, $0.share)) }
        return section(
            "Requests", aside: "of the last \(duration(overview.recent.period))",
            cards(
                [cell("in flight", number(requests.active)), cell("answered", number(recent.count))] + cells
                    + [cell("since the start", number(requests.allDurations.count))]))
    }

    private static func sessions(_ overview: Overview) -> String {
        let sessions = overview.counts.sessions
        return section(
            "Sessions", aside: "with the MCP server",
            cards([
                cell("open", "\(number(sessions.open)) <small>of \(number(overview.settings.maxSessions))</small>"),
                cell("handshakes now", number(sessions.opening)),
                cell("handshakes failed", number(sessions.failed), look: sessions.failed > 0 ? "bad" : ""),
                cell("lost", number(sessions.lost), look: sessions.lost > 0 ? "bad" : ""),
                cell("evicted", number(sessions.evicted)),
            ]) + failures(overview.counts.requests))
    }

    private static func backends(_ backends: [BackendCounts]) -> String {
        let rows = backends.map { backend in
            let state =
                if backend.isAside {
                    mark("put aside", "bad")
                } else {
                    backend.connections.last.map {
                        $0.succeeded ? mark("reachable", "good") : mark("unreachable", "bad")
                    }
                        ?? mark("not tried yet", "quiet")
                }
            return [
                "<code>\(escaped(backend.label))</code>", state, number(backend.load),
                number(backend.connections.failed),
            ]
        }
        return section(
            "MCP server", aside: backends.count > 1 ? "\(backends.count) copies" : "",
            table(["backend", "state", "load", "failed"], numbers: 2, rows))
    }

    private static func mark(_ text: String, _ look: String) -> String { "<span class=\"\(look)\">\(text)</span>" }

    /// What is kept for clients that come back.
    private static func kept(_ overview: Overview) -> String {
        let (counts, parking) = (overview.counts, overview.counts.parking)
        return section(
            "Kept for clients", aside: "now",
            cards([
                cell("listeners", number(counts.listeners)),
                cell(
                    "calls parked", "\(number(parking.parked)) <small>of \(number(overview.settings.maxParked))</small>"
                ),
                cell("responses kept", number(parking.kept)),
                cell("parked calls lost", number(parking.lost), look: parking.lost > 0 ? "bad" : ""),
                cell("lists", "\(number(counts.lists)) <small>\(size(counts.listBytes))</small>"),
            ]))
    }

    /// What became of the calls that it gave no usable answer to.
    private static func failures(_ requests: RequestCounts) -> String {
        let rows = BackendFailure.allCases.compactMap { failure -> [String]? in
            let count = requests.failures(failure)
            return count == 0 ? nil : ["\(failure.words) <code>\(failure.label)</code>", number(count)]
        }
        return rows.isEmpty ? "" : "\n" + table(["calls without a usable answer", "count"], numbers: 1, rows)
    }

    private static func errors(_ overview: Overview) -> String {
        let requests = overview.counts.requests
        let rows = ErrorSide.allCases.flatMap { side in
            ErrorType.allCases.compactMap { type -> [String]? in
                let count = requests.errors(on: side, type)
                return count == 0 ? nil : ["\(side.name)", "\(type.words) <code>\(type.label)</code>", number(count)]
            }
        }
        let body = rows.isEmpty ? "<p class=\"none\">None.</p>" : table(["side", "error", "count"], numbers: 1, rows)
        return section("Errors answered", aside: "since the start", body)
    }

    private static func methods(_ requests: RequestCounts) -> String {
        let methods = Method.known.map { Optional($0) } + [nil]
        let rows = methods.compactMap { method -> [String]? in
            let good = requests.durations(of: method, .none).count
            let bad = ErrorType.allCases.dropFirst().reduce(0) { $0 + requests.durations(of: method, $1).count }
            if good + bad == 0 { return nil }
            let name = method.map { "<code>\($0.name)</code>" } ?? "other, or refused at the door"
            return [name, number(good), number(bad)]
        }
        let body =
            rows.isEmpty
            ? "<p class=\"none\">None yet.</p>" : table(["method", "answered", "errors"], numbers: 2, rows)
        return section("Methods", aside: "since the start", body)
    }

    private static func process(_ overview: Overview) -> String {
        let process = overview.process
        let dropped = overview.droppedLogLines
        return section(
            "Process", aside: "\(overview.settings.threads) \(overview.settings.threads == 1 ? "thread" : "threads")",
            cards([
                cell(
                    "client connections",
                    "\(number(overview.counts.connections)) "
                        + "<small>of \(number(overview.settings.maxConnections))</small>"),
                cell("memory", process.residentMemory.map(size) ?? "–"),
                cell(
                    "descriptors",
                    "\(process.openDescriptors.map(number) ?? "–") "
                        + "<small>of \(process.maxDescriptors.map(number) ?? "any")</small>"),
                cell("log lines lost", number(dropped), look: dropped > 0 ? "bad" : ""),
                cell(
                    "internal errors", number(overview.internalErrors), look: overview.internalErrors > 0 ? "bad" : ""),
                reload(overview.reloads),
            ]) + refusal(overview.reloads) + certificates(overview))
    }

    /// Operators who renew by hand want two weeks; what renews them by itself does so long before.
    private static let expiryWarning: Duration = .seconds(14 * 86400)

    private static func certificates(_ overview: Overview) -> String {
        let rows = overview.settings.certificates.map { certificate in
            let rest = overview.time(until: certificate)
            let words = rest > .zero ? "in \(duration(rest))" : "expired"
            return [
                "<code>\(escaped(certificate.setting))</code>",
                rest < expiryWarning ? mark(words, "bad") : words,
            ]
        }
        return rows.isEmpty ? "" : "\n" + table(["certificate", "expires"], numbers: 1, rows)
    }

    private static func reload(_ reloads: ReloadCounts) -> String {
        guard let last = reloads.last else { return cell("configuration", "<small>of the start</small>") }
        let isGood = last.reasons.isEmpty
        return cell(
            "configuration",
            "\(isGood ? "reloaded" : "not reloaded") <small>\(number(reloads.failed)) of \(number(reloads.succeeded + reloads.failed)) failed</small>",
            look: isGood ? "" : "bad")
    }

    /// Why the configuration was not taken over.
    private static func refusal(_ reloads: ReloadCounts) -> String {
        guard let reasons = reloads.last?.reasons, !reasons.isEmpty else { return "" }
        return "\n"
            + table(["the configuration was not taken over"], numbers: 0, reasons.prefix(8).map { [escaped($0)] })
    }

    // MARK: Pieces

    private static func section(_ title: String, aside: String, _ body: String) -> String {
        "<section>\n<h2>\(title) <span>\(aside)</span></h2>\n\(body)\n</section>"
    }

    private static func cards(_ cells: [String]) -> String { "<dl>\n\(cells.joined(separator: "\n"))\n</dl>" }

    private static func cell(_ name: String, _ value: String, look: String = "") -> String {
        "<div\(look.isEmpty ? "" : " class=\"\(look)\"")><dt>\(name)</dt><dd>\(value)</dd></div>"
    }

    /// - Parameter numbers: how many of the columns, the last ones, are numbers.
    private static func table(_ head: [String], numbers: Int, _ rows: [[String]]) -> String {
        func line(_ tag: String, _ cells: [String]) -> String {
            let cells = cells.enumerated().map { index, cell in
                let look = index >= cells.count - numbers ? " class=\"number\"" : ""
                return "<\(tag)\(look)>\(cell)</\(tag)>"
            }
            return "<tr>\(cells.joined())</tr>"
        }
        let head = line("th", head)
        let rows = rows.map { line("td", $0) }
        return "<table>\n<thead>\(head)</thead>\n<tbody>\n\(rows.joined(separator: "\n"))\n</tbody>\n</table>"
    }

    /// Digits in groups of three.
    private static func number(_ value: Int) -> String {
        let digits = Array(String(value))
        var result = ""
        for (index, digit) in digits.enumerated() {
            if index > 0, (digits.count - index).isMultiple(of: 3) { result += "\u{202F}" }
            result.append(digit)
        }
        return result
    }

    private static func size(_ bytes: Int) -> String {
        let tenths = bytes * 10 / (1024 * 1024)
        return "\(tenths / 10).\(tenths % 10) MiB"
    }

    private static func duration(_ duration: Duration) -> String {
        let seconds = Int(duration.components.seconds)
        return switch seconds {
        case ..<120: "\(seconds) s"
        case ..<7200: "\(seconds / 60) min"
        case ..<172_800: "\(seconds / 3600) h"
        default: "\(seconds / 86400) days"
        }
    }

    private static func escaped(_ text: String) -> String {
        text.visible().unicodeScalars.reduce(into: "") { result, scalar in
            switch scalar {
            case "&": result += "&amp;"
            case "<": result += "&lt;"
            case ">": result += "&gt;"
            case "\"": result += "&quot;"
            case "'": result += "&#39;"
            default: result.unicodeScalars.append(scalar)
            }
        }
    }
}
