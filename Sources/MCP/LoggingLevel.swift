/// Severities of log messages, from the least to the most severe (RFC 5424; server/utilities/logging).
package enum LoggingLevel: String, Sendable, CaseIterable, Comparable {
    case debug, info, notice, warning, error, critical, alert, emergency

    package static func < (left: LoggingLevel, right: LoggingLevel) -> Bool { left.severity < right.severity }

    private var severity: Int { LoggingLevel.allCases.firstIndex(of: self) ?? 0 }
}
