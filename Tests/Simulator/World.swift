import SimulatedKernel

/// Who is where: the ends that peers play, their timers, and the Remoras.
final class World {
    var wires: [Int32: Wire] = [:]
    private var listeners: [UInt16: (Int32) -> Void] = [:]
    private var timers: [UInt64: () -> Void] = [:]
    private var nextToken: UInt64 = 0
    /// Told of a base that is to run.
    var onBase: ((UnsafeMutableRawPointer) -> Void)?
    /// When it is true, ``run(until:)`` returns.
    var isOver = false

    /// Timers are due at multiples of this; 0: at any time.
    var tick: Int64 = 0

    var now: Int64 { sim_now() }

    func after(_ delay: Int64, _ body: @escaping () -> Void) {
        nextToken += 1
        timers[nextToken] = body
        let due = sim_now() + max(0, delay)
        sim_set_timer(tick > 0 ? (due + tick - 1) / tick * tick : due, nextToken)
    }

    func listen(_ host: Int, _ port: UInt16, _ onConnection: @escaping (Int32) -> Void) {
        guard sim_listen(Int32(host), port) == 0 else { return }
        listeners[port] = onConnection
    }

    func unlisten(_ port: UInt16) {
        if listeners.removeValue(forKey: port) != nil { sim_unlisten(port) }
    }

    /// Lets everything happen until a time, or until ``isOver``.
    func run(until end: Int64) {
        while !isOver {
            let event = sim_next(end)
            switch event.kind {
            case sim_nothing: return
            case sim_timer: timers.removeValue(forKey: event.value)?()
            case sim_base: onBase?(event.base)
            case sim_accepted:
                if let accept = listeners[UInt16(truncatingIfNeeded: event.value)] {
                    accept(event.end)
                } else {
                    sim_reset(event.end)
                }
            default: wires[event.end]?.tell(event.kind)
            }
        }
    }
}
