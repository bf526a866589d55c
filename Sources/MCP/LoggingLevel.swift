/// Severities of log messages, from the least to the most severe (RFC 5424; server/utilities/logging).
package enum LoggingLevel: String, Sendable, CaseIterable {
    case debug, info, notice, warning, error, critical, alert, emergency
}
