import Gateway
import Legacy
import MCP
import Telemetry

/// `/status`: one page that loads nothing and reads itself anew.
enum StatusPage {
    static func pageText(_ overview: Overview) -> String {
        """
        <!DOCTYPE html>
        <html lang="en">
        <head>
        <meta charset="utf-8">
        <meta name="viewport" content="width=device-width, initial-scale=1">
        <meta name="color-scheme" content="light dark">
        <meta http-equiv="refresh" content="5">
        <title>Remora: \(stateTitle(overview.state))</title>
        <style>\(style)</style>
        </head>
        <body>
        \(pageHeader(overview))
        <main>
        \(trafficSection(overview))
        \(sessionSection(overview))
        \(backendSection(overview.counts.backends))
        \(keptSection(overview))
        \(errorSection(overview))
        \(methodSection(overview.counts.requests))
        \(processSection(overview))
        </main>
        </body>
        </html>

        """
    }

    // MARK: Sections

    private static func pageHeader(_ overview: Overview) -> String {
        """
        <header class="\(overview.state.rawValue)">
        <h1>Remora</h1>
        <p class="state">\(stateTitle(overview.state))</p>
        <p class="about">version \(escapedHTML(Version.current)) · up \(durationWords(overview.uptime))</p>
        </header>
        """
    }

    private static func stateTitle(_ state: Overview.State) -> String {
        switch state {
        case .ready: "ready"
        case .draining: "draining"
        case .unreachable: "server unreachable"
        }
    }

    private static func trafficSection(_ overview: Overview) -> String {
        let (recent, requests) = (overview.recent.durations, overview.counts.requests)
        let cells = Quantiles.shown.map { cardCell($0.name, Quantiles.quantileWords(recent, $0.share)) }
        return pageSection(
            "Requests", aside: "of the last \(durationWords(overview.recent.period))",
            cardList(
                [
                    cardCell("in flight", groupedDigits(requests.active)),
                    cardCell("answered", groupedDigits(recent.count)),
                ] + cells
                    + [cardCell("since the start", groupedDigits(requests.allDurations.count))]))
    }

    private static func sessionSection(_ overview: Overview) -> String {
        let sessions = overview.counts.sessions
        return pageSection(
            "Sessions", aside: "with the MCP server",
            cardList([
                cardCell(
                    "open",
                    "\(groupedDigits(sessions.open)) <small>of \(groupedDigits(overview.settings.maxSessions))</small>"),
                cardCell("handshakes now", groupedDigits(sessions.opening)),
                cardCell("handshakes failed", groupedDigits(sessions.failed), look: sessions.failed > 0 ? "bad" : ""),
                cardCell("lost", groupedDigits(sessions.lost), look: sessions.lost > 0 ? "bad" : ""),
                cardCell("evicted", groupedDigits(sessions.evicted)),
            ]) + failureWords(overview.counts.requests))
    }

    private static func backendSection(_ backends: [BackendCounts]) -> String {
        let rows = backends.map { backend in
            let state =
                if backend.isAside {
                    markedText("put aside", "bad")
                } else {
                    backend.connections.last.map {
                        $0.succeeded ? markedText("reachable", "good") : markedText("unreachable", "bad")
                    }
                        ?? markedText("not tried yet", "quiet")
                }
            return [
                "<code>\(escapedHTML(backend.label))</code>", state, groupedDigits(backend.load),
                groupedDigits(backend.connections.failed),
            ]
        }
        return pageSection(
            "MCP server", aside: backends.count > 1 ? "\(backends.count) copies" : "",
            pageTable(["backend", "state", "load", "failed"], numbers: 2, rows))
    }

    private static func markedText(_ text: String, _ look: String) -> String {
        "<span class=\"\(look)\">\(text)</span>"
    }

    /// What is kept for clients that come back.
    private static func keptSection(_ overview: Overview) -> String {
        let (counts, parking) = (overview.counts, overview.counts.parking)
        return pageSection(
            "Kept for clients", aside: "now",
            cardList([
                cardCell("listeners", groupedDigits(counts.subscriptions)),
                cardCell(
                    "calls parked",
                    "\(groupedDigits(parking.parked)) <small>of \(groupedDigits(overview.settings.maxParked))</small>"
                ),
                cardCell("responses kept", groupedDigits(parking.kept)),
                cardCell("parked calls lost", groupedDigits(parking.lost), look: parking.lost > 0 ? "bad" : ""),
                cardCell("tasks", groupedDigits(counts.tasks.running)),
                cardCell("lists", "\(groupedDigits(counts.lists)) <small>\(sizeWords(counts.listBytes))</small>"),
            ]))
    }

    /// What became of the calls that it gave no usable answer to.
    private static func failureWords(_ requests: RequestCounts) -> String {
        let rows = BackendFailure.allCases.compactMap { failure -> [String]? in
            let count = requests.failureCount(failure)
            return count == 0 ? nil : ["\(failure.words) <code>\(failure.label)</code>", groupedDigits(count)]
        }
        return rows.isEmpty ? "" : "\n" + pageTable(["calls without a usable answer", "count"], numbers: 1, rows)
    }

    private static func errorSection(_ overview: Overview) -> String {
        let requests = overview.counts.requests
        let rows = ErrorSide.allCases.flatMap { side in
            ErrorType.allCases.compactMap { type -> [String]? in
                let count = requests.errorCount(on: side, type)
                return count == 0
                    ? nil : ["\(side.name)", "\(type.words) <code>\(type.label)</code>", groupedDigits(count)]
            }
        }
        let body =
            rows.isEmpty ? "<p class=\"none\">None.</p>" : pageTable(["side", "error", "count"], numbers: 1, rows)
        return pageSection("Errors answered", aside: "since the start", body)
    }

    private static func methodSection(_ requests: RequestCounts) -> String {
        let methods = Method.known.map { Optional($0) } + [nil]
        let rows = methods.compactMap { method -> [String]? in
            let good = requests.requestDurations(of: method, .none).count
            let bad = ErrorType.allCases.dropFirst().reduce(0) { $0 + requests.requestDurations(of: method, $1).count }
            if good + bad == 0 { return nil }
            let name = method.map { "<code>\($0.name)</code>" } ?? "other, or refused at the door"
            return [name, groupedDigits(good), groupedDigits(bad)]
        }
        let body =
            rows.isEmpty
            ? "<p class=\"none\">None yet.</p>" : pageTable(["method", "answered", "errors"], numbers: 2, rows)
        return pageSection("Methods", aside: "since the start", body)
    }

    private static func processSection(_ overview: Overview) -> String {
        let process = overview.process
        let dropped = overview.droppedLogLines
        return pageSection(
            "Process", aside: "\(overview.settings.threads) \(overview.settings.threads == 1 ? "thread" : "threads")",
            cardList([
                cardCell(
                    "client connections",
                    "\(groupedDigits(overview.counts.connections)) "
                        + "<small>of \(groupedDigits(overview.settings.maxConnections))</small>"),
                cardCell("memory", process.residentMemory.map(sizeWords) ?? "–"),
                cardCell(
                    "descriptors",
                    "\(process.openDescriptors.map(groupedDigits) ?? "–") "
                        + "<small>of \(process.maxDescriptors.map(groupedDigits) ?? "any")</small>"),
                cardCell("log lines lost", groupedDigits(dropped), look: dropped > 0 ? "bad" : ""),
                cardCell(
                    "internal errors", groupedDigits(overview.internalErrors),
                    look: overview.internalErrors > 0 ? "bad" : ""),
                reloadSection(overview.reloads),
            ]) + refusalParagraph(overview.reloads) + certificateSection(overview))
    }

    /// Operators who renew by hand want two weeks; what renews them by itself does so long before.
    private static let expiryWarning: Duration = .seconds(14 * 86400)

    private static func certificateSection(_ overview: Overview) -> String {
        let rows = overview.settings.certificates.map { certificate in
            let rest = overview.timeLeft(until: certificate)
            let words = rest > .zero ? "in \(durationWords(rest))" : "expired"
            return [
                "<code>\(escapedHTML(certificate.setting))</code>",
                rest < expiryWarning ? markedText(words, "bad") : words,
            ]
        }
        return rows.isEmpty ? "" : "\n" + pageTable(["certificate", "expires"], numbers: 1, rows)
    }

    private static func reloadSection(_ reloads: ReloadCounts) -> String {
        guard let last = reloads.last else { return cardCell("configuration", "<small>of the start</small>") }
        let isGood = last.reasons.isEmpty
        return cardCell(
            "configuration",
            "\(isGood ? "reloaded" : "not reloaded") <small>\(groupedDigits(reloads.failed)) of \(groupedDigits(reloads.succeeded + reloads.failed)) failed</small>",
            look: isGood ? "" : "bad")
    }

    /// Why the configuration was not taken over.
    private static func refusalParagraph(_ reloads: ReloadCounts) -> String {
        guard let reasons = reloads.last?.reasons, !reasons.isEmpty else { return "" }
        return "\n"
            + pageTable(
                ["the configuration was not taken over"], numbers: 0, reasons.prefix(8).map { [escapedHTML($0)] })
    }

    // MARK: Pieces

    private static func pageSection(_ title: String, aside: String, _ body: String) -> String {
        "<section>\n<h2>\(title) <span>\(aside)</span></h2>\n\(body)\n</section>"
    }

    private static func cardList(_ cells: [String]) -> String { "<dl>\n\(cells.joined(separator: "\n"))\n</dl>" }

    private static func cardCell(_ name: String, _ value: String, look: String = "") -> String {
        "<div\(look.isEmpty ? "" : " class=\"\(look)\"")><dt>\(name)</dt><dd>\(value)</dd></div>"
    }

    /// - Parameter numbers: how many of the columns, the last ones, are numbers.
    private static func pageTable(_ head: [String], numbers: Int, _ rows: [[String]]) -> String {
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
    private static func groupedDigits(_ value: Int) -> String {
        let digits = Array(String(value))
        var result = ""
        for (index, digit) in digits.enumerated() {
            if index > 0, (digits.count - index).isMultiple(of: 3) { result += "\u{202F}" }
            result.append(digit)
        }
        return result
    }

    private static func sizeWords(_ bytes: Int) -> String {
        let tenths = bytes * 10 / (1024 * 1024)
        return "\(tenths / 10).\(tenths % 10) MiB"
    }

    private static func durationWords(_ duration: Duration) -> String {
        let seconds = Int(duration.components.seconds)
        return switch seconds {
        case ..<120: "\(seconds) s"
        case ..<7200: "\(seconds / 60) min"
        case ..<172_800: "\(seconds / 3600) h"
        default: "\(seconds / 86400) days"
        }
    }

    private static func escapedHTML(_ text: String) -> String {
        text.visibleText().unicodeScalars.reduce(into: "") { result, scalar in
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
