import Reactor
import Synchronization
import Telemetry

/// The warden of the process, which is started when a configuration first has a command.
package final class WardenStart: Sendable {
    /// Of the command line by which this program becomes the warden.
    package static let argument = "--warden"

    private let started = Mutex<Warden?>(nil)

    /// The warden; nil where it cannot be started. The children themselves die with this process all the same.
    func startWarden(_ log: Log) -> Warden? {
        started.withLock { warden in
            if let warden { return warden }
            do throws(SystemError) {
                warden = try Warden.startWarden(["remora", WardenStart.argument])
            } catch {
                log.write(.warning, "no_warden") { $0.field("reason", "\(error)") }
            }
            return warden
        }
    }
}
