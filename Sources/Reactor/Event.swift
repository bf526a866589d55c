internal import CLibevent
internal import Glibc

let EV_READ = Int16(CLibevent.EV_READ)
let EV_WRITE = Int16(CLibevent.EV_WRITE)
let EV_CLOSED = Int16(CLibevent.EV_CLOSED)
let EV_PERSIST = Int16(CLibevent.EV_PERSIST)
let EV_ET = Int16(CLibevent.EV_ET)

/// Owns a libevent `event_base`; nothing else frees it.
@safe final class EventBase {
    let pointer: OpaquePointer

    init() {
        // At the start, before anybody can connect.
        guard let config = unsafe event_config_new() else { preconditionFailure("event_config_new: out of memory") }
        defer { unsafe event_config_free(config) }
        // Changes between two `epoll_wait` are merged: a short-lived change of interest costs no system call.
        // No locks: one thread only.
        unsafe event_config_set_flag(config, Int32(EVENT_BASE_FLAG_EPOLL_USE_CHANGELIST.rawValue))
        unsafe event_config_set_flag(config, Int32(EVENT_BASE_FLAG_NOLOCK.rawValue))
        guard let base = unsafe event_base_new_with_config(config) else {
            // At the start, before anybody can connect.
            preconditionFailure("libevent found no way to wait for events on this system")
        }
        unsafe pointer = base
    }

    deinit { unsafe event_base_free(pointer) }
}

typealias EventCallback = @convention(c) (Int32, Int16, UnsafeMutableRawPointer?) -> Void

/// Owns one `struct event`; nothing else frees it. It keeps its base alive.
@safe final class Event {
    private let pointer: UnsafeMutablePointer<event>
    private var base: EventBase?

    init() { unsafe pointer = .allocate(capacity: 1) }

    deinit {
        deleteEvent()
        unsafe pointer.deallocate()
    }

    /// Says what to wait for. The context must outlive the event's last `deleteEvent`.
    func assignEvent(
        _ base: EventBase, fd: Int32, events: Int16, callback: EventCallback, context: UnsafeMutableRawPointer
    ) {
        self.base = base
        let failure = unsafe event_assign(pointer, base.pointer, fd, events, callback, context)
        // It refuses combinations of kinds only, and kinds are constants.
        precondition(failure == 0, "event_assign refused the event")
    }

    func add() { _ = unsafe event_add(pointer, nil) }

    func add(after delay: Duration) {
        let (seconds, attoseconds) = delay.components
        var time = timeval(tv_sec: Int(seconds), tv_usec: Int(attoseconds / 1_000_000_000_000))
        _ = unsafe event_add(pointer, &time)
    }

    /// Stops waiting. Harmless when nothing is waited for.
    func deleteEvent() { if base != nil { _ = unsafe event_del(pointer) } }
}
