/// How much a log line matters, from the most to the least.
package enum LogLevel: Int, Sendable, Comparable {
    case error, warning, info, debug

    package static func < (left: LogLevel, right: LogLevel) -> Bool { left.rawValue < right.rawValue }

    var name: StaticString {
        switch self {
        case .error: "error"
        case .warning: "warning"
        case .info: "info"
        case .debug: "debug"
        }
    }
}
