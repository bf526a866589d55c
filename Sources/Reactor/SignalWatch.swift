internal import CLibevent
internal import Glibc

/// Calls back on a loop when the process gets a signal.
package final class SignalWatch {
    private let loop: Loop
    private let event = Event()
    private let onSignal: () -> Void

    /// SIGTERM, as supervisors send it.
    package static let terminate: Int32 = SIGTERM
    /// SIGINT, as Ctrl-C sends it.
    package static let interrupt: Int32 = SIGINT
    /// SIGHUP, by which services are told to read their configuration anew.
    package static let hangup: Int32 = SIGHUP

    package init(_ signal: Int32, on loop: Loop, _ onSignal: @escaping () -> Void) {
        self.loop = loop
        self.onSignal = onSignal
        unsafe event.assignEvent(
            loop.base, fd: signal, events: Int16(CLibevent.EV_SIGNAL) | EV_PERSIST,
            callback: { _, _, context in
                let watch = unsafe Unmanaged<SignalWatch>.fromOpaque(context!).takeUnretainedValue()
                watch.loop.runTurn { watch.onSignal() }
            },
            context: Unmanaged.passUnretained(self).toOpaque())
        event.add()
    }

    deinit { event.deleteEvent() }

    /// A reader of standard output that goes away must not end the process: the write fails, and that is all.
    /// Nor must a file that may not grow any more (`ulimit -f`).
    package static func ignoreBrokenPipes() {
        _ = signal(SIGPIPE, SIG_IGN)
        _ = signal(SIGXFSZ, SIG_IGN)
    }
}
