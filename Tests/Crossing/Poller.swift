import CEpoll
import Glibc

/// Sockets and timers of one thread, on epoll alone: nothing of what is under test.
final class Poller {
    private struct Timer {
        let moment: UInt64
        let number: Int
        let action: () -> Void
    }

    private let descriptor = epoll_create1(0)
    private var links: [Int32: Link] = [:]
    /// A heap, the next one first.
    private var timers: [Timer] = []
    private var count = 0
    private(set) var now = Poller.clock()
    /// What one `recv` takes, for all sockets.
    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 256 * 1024, alignment: 64)

    /// Milliseconds.
    static func clock() -> UInt64 {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return UInt64(time.tv_sec) * 1000 + UInt64(time.tv_nsec) / 1_000_000
    }

    func add(_ link: Link) {
        links[link.descriptor] = link
        control(EPOLL_CTL_ADD, link)
    }

    func change(_ link: Link) { control(EPOLL_CTL_MOD, link) }

    func remove(_ link: Link) {
        var event = epoll_event()
        epoll_ctl(descriptor, EPOLL_CTL_DEL, link.descriptor, &event)
        links[link.descriptor] = nil
    }

    private func control(_ operation: Int32, _ link: Link) {
        var event = epoll_event()
        event.events = (link.isReading ? EPOLLIN.rawValue : 0) | (link.hasUnsent ? EPOLLOUT.rawValue : 0)
        event.data.fd = link.descriptor
        epoll_ctl(descriptor, operation, link.descriptor, &event)
    }

    func after(_ milliseconds: Int, _ action: @escaping () -> Void) {
        count += 1
        timers.append(Timer(moment: now + UInt64(milliseconds), number: count, action: action))
        var child = timers.count - 1
        while child > 0, isEarlier(child, (child - 1) / 2) {
            timers.swapAt(child, (child - 1) / 2)
            child = (child - 1) / 2
        }
    }

    private func isEarlier(_ one: Int, _ other: Int) -> Bool {
        (timers[one].moment, timers[one].number) < (timers[other].moment, timers[other].number)
    }

    private func popTimer() -> Timer {
        timers.swapAt(0, timers.count - 1)
        let first = timers.removeLast()
        var parent = 0
        while true {
            var least = parent
            for child in [2 * parent + 1, 2 * parent + 2] where child < timers.count && isEarlier(child, least) {
                least = child
            }
            if least == parent { return first }
            timers.swapAt(parent, least)
            parent = least
        }
    }

    func run(while goesOn: () -> Bool) {
        var events = [epoll_event](repeating: epoll_event(), count: 256)
        while goesOn() {
            let pause = timers.first.map { $0.moment > now ? Int32(min($0.moment - now, 100)) : 0 } ?? 100
            let ready = epoll_wait(descriptor, &events, Int32(events.count), pause)
            now = Poller.clock()
            for event in events.prefix(Int(max(ready, 0))) {
                guard let link = links[event.data.fd] else { continue }
                if event.events & EPOLLOUT.rawValue != 0 { link.flush() }
                if event.events & ~EPOLLOUT.rawValue != 0 { link.read() }
            }
            while let first = timers.first, first.moment <= now { popTimer().action() }
        }
    }
}
