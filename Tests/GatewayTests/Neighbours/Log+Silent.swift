import Glibc
import Telemetry

extension Log {
    /// A log that goes nowhere.
    static let silent = Log(level: .debug, format: .json, descriptor: open("/dev/null", O_WRONLY))
}
