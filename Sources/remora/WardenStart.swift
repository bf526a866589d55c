import Reactor
import Synchronization
import Telemetry

/// The warden of the process, which is started when a configuration first has a command.
final class WardenStart: Sendable {
    private let started = Mutex<Warden?>(nil)

    /// The warden; nil where it cannot be started. The children themselves die with this process all the same.
    func startWarden(_ log: Log) -> Warden? {
        started.withLock { warden in
            if let warden { return warden }
            do throws(SystemError) {
                warden = try Warden.startWarden(Command.wardenArguments)
            } catch {
                log.write(.warning, "no_warden") { $0.field("reason", "\(error)") }
            }
            return warden
        }
    }
}
