internal import Glibc
internal import Synchronization

/// The log: one structured line an event, on standard output.
///
/// A thread of its own does the writing. A reader that has stopped reading holds up that thread and no call; what does not fit
/// into the buffer meanwhile is dropped and counted.
package final class Log: Sendable {
    /// Bytes that wait to be written. A minute of a busy sidecar; beyond it the reader has stopped.
    private static let maxPending = 4 * 1024 * 1024
    /// How long lines are gathered into one `write`: short for a person who watches, long against a call.
    private static let gathering: UInt32 = 20_000

    private struct State {
        var pending: [UInt8] = []
        var dropped = 0
        /// Since the start.
        var allDropped = 0
        var clock = TimeText()
        var isAwake = false
        /// Whether taken lines have not been written to the last byte.
        var isWriting = false
        /// Whether a thread waits until everything has been written.
        var isAwaited = false
        var format: LogLine.Format

        /// Whether there is something to be written, if only how many lines were lost.
        var isWaiting: Bool { !pending.isEmpty || dropped > 0 }

        mutating func appendLine(_ level: LogLevel, _ event: StaticString, _ fields: (inout LogLine) -> Void) {
            clock.updateSecond()
            var line = LogLine(format, level: level, event: event, time: clock.text, after: &pending)
            fields(&line)
            line.endLine(into: &pending)
        }
    }

    /// The raw value of the level.
    private let level: Atomic<Int>
    private let descriptor: Int32
    private let state: Mutex<State>
    /// Held by the thread that waits for the writer: one at a time.
    private let flushing = Mutex(())
    /// Places in the code at which something was found that cannot be, and how often.
    private let internalErrors = Mutex<[CodeLocation: Int]>([:])
    private let wakeup = Semaphore()
    /// Signalled when everything has been written and a thread waits for that.
    private let written = Semaphore()

    /// - Parameter descriptor: where to write; it is not closed.
    package init(level: LogLevel, format: LogLine.Format, descriptor: Int32 = STDOUT_FILENO) {
        self.level = Atomic(level.rawValue)
        state = Mutex(State(format: format))
        self.descriptor = descriptor
        startWriter()
    }

    /// Which lines are written, and how, from now on.
    package func applySettings(level: LogLevel, format: LogLine.Format) {
        self.level.store(level.rawValue, ordering: .relaxed)
        state.withLock { $0.format = format }
    }

    /// Writes a line, if the level is asked for. `fields` adds to it.
    package func write(_ level: LogLevel, _ event: StaticString, _ fields: (inout LogLine) -> Void = { _ in }) {
        guard level.rawValue <= self.level.load(ordering: .relaxed) else { return }
        let sleeps = state.withLock { state in
            // Written where it waits for the writer: one lock, and no copy.
            let before = state.pending.count
            state.appendLine(level, event, fields)
            if state.pending.count > Log.maxPending {
                state.pending.removeSubrange(before...)
                state.dropped += 1
                state.allDropped += 1
            }
            defer { state.isAwake = true }
            return !state.isAwake
        }
        if sleeps { wakeup.signal() }
    }

    /// How many lines were lost since the start.
    package var droppedLines: Int { state.withLock { $0.allDropped } }

    // MARK: Internal errors

    /// A line of the sources: there are as many as there are calls of ``internalError(_:fileID:line:)``.
    private struct CodeLocation: Hashable {
        let file: String
        let line: UInt
    }

    /// Notes that something is not as Remora's own code has to leave it. The caller fails the call or the connection that it
    /// is about, and everything else goes on. The first error of each place is a line of the log; all are counted.
    ///
    /// - Parameter what: what was found, for an issue to be filed with.
    package func internalError(_ what: StaticString, fileID: StaticString = #fileID, line: UInt = #line) {
        let place = CodeLocation(file: "\(fileID)", line: line)
        let isFirst = internalErrors.withLock { errors in
            errors[place, default: 0] += 1
            return errors[place] == 1
        }
        guard isFirst else { return }
        write(.error, "internal_error") { entry in
            entry.field("what", "\(what)")
            entry.field("place", "\(place.file):\(place.line)")
            entry.field("advice", "please report this line; one call or connection has failed, and all others go on")
        }
    }

    /// How often ``internalError(_:fileID:line:)`` was called since the start.
    package var internalErrorCount: Int { internalErrors.withLock { $0.values.reduce(0, +) } }

    /// Waits until everything that waits has been written, and not for longer than `patience`: a reader that takes nothing holds
    /// up the writer for as long as it likes, and nothing else. To be called at the end of the process, which ends the writer
    /// wherever it is.
    ///
    /// - Returns: whether everything has been written.
    @discardableResult package func flushLines(within patience: Duration) -> Bool {
        flushing.withLock { _ in
            let isDone = state.withLock { state in
                state.isAwaited = state.isWriting || state.isWaiting
                return !state.isAwaited
            }
            if isDone { return true }
            wakeup.signal()
            if written.wait(atMost: patience) { return true }
            let isLate = state.withLock { state in
                defer { state.isAwaited = false }
                return state.isAwaited
            }
            // It was signalled as the time ended: the next waiter must not take that signal for its own.
            if !isLate { written.wait() }
            return !isLate
        }
    }

    /// What the thread of the log does for ever.
    private func writeAll() {
        while true {
            wakeup.wait()
            if !state.withLock({ $0.isAwaited }) { usleep(Log.gathering) }
            repeat { putBytes(takeLines()) } while isAwaitedForMore()
        }
    }

    private func takeLines() -> [UInt8] {
        state.withLock { state in
            let dropped = state.dropped
            if dropped > 0 { state.appendLine(.warning, "log_lines_dropped") { $0.field("count", dropped) } }
            state.dropped = 0
            state.isAwake = false
            state.isWriting = true
            var taken: [UInt8] = []
            swap(&taken, &state.pending)
            return taken
        }
    }

    /// What was taken has been written. Tells the thread that waits for that, and returns whether more is to be written.
    private func isAwaitedForMore() -> Bool {
        state.withLock { state in
            state.isWriting = false
            guard state.isAwaited, !state.isWaiting else { return state.isAwaited }
            state.isAwaited = false
            written.signal()
            return false
        }
    }

    private func putBytes(_ bytes: [UInt8]) {
        var done = 0
        while done < bytes.count {
            let written = unsafe bytes.withUnsafeBytes {
                unsafe Glibc.write(descriptor, $0.baseAddress! + done, bytes.count - done)
            }
            if written > 0 {
                done += written
            } else if errno == EAGAIN {
                // Another process made the shared descriptor non-blocking.
                usleep(Log.gathering)
            } else if errno != EINTR {
                // There is no way to tell that the log is gone.
                return
            }
        }
    }

    private func startWriter() {
        var thread = pthread_t()
        // Lives as long as the process; never released.
        let context = unsafe Unmanaged.passRetained(self).toOpaque()
        let failure = unsafe pthread_create(
            &thread, nil,
            { context in
                unsafe Unmanaged<Log>.fromOpaque(context!).takeUnretainedValue().writeAll()
                return nil
            }, context)
        // At the start, before anybody can connect.
        precondition(failure == 0, "pthread_create failed: \(failure)")
        pthread_detach(thread)
    }
}

/// A POSIX semaphore.
@safe private final class Semaphore: @unchecked Sendable {
    // @unchecked is sound: the semaphore is made for several threads, and stays where it is.
    private let semaphore: UnsafeMutablePointer<sem_t>

    init() {
        unsafe semaphore = .allocate(capacity: 1)
        unsafe semaphore.initialize(to: sem_t())
        _ = unsafe sem_init(semaphore, 0, 0)
    }

    func wait() { while unsafe sem_wait(semaphore) != 0 {} }

    /// Waits for `patience` at most. Returns whether it was signalled.
    func wait(atMost patience: Duration) -> Bool {
        // Looked at now and then: `sem_timedwait` goes by the clock on the wall, which may be set back.
        let clock = ContinuousClock()
        let end = clock.now + patience
        while unsafe sem_trywait(semaphore) != 0 {
            if clock.now >= end { return false }
            usleep(1000)
        }
        return true
    }

    func signal() { _ = unsafe sem_post(semaphore) }
}

/// `2026-07-28T12:34:56.789Z`, of which all but the milliseconds is made once a second.
private struct TimeText {
    private var second = -1
    private(set) var text: [UInt8] = []

    mutating func updateSecond() {
        var time = timespec()
        _ = unsafe clock_gettime(CLOCK_REALTIME, &time)
        if time.tv_sec != second {
            second = time.tv_sec
            text = TimeText.formatSecond(time.tv_sec)
        }
        let milliseconds = time.tv_nsec / 1_000_000
        for (place, divisor) in [(20, 100), (21, 10), (22, 1)] {
            text[place] = UInt8(ascii: "0") + UInt8(milliseconds / divisor % 10)
        }
    }

    private static func formatSecond(_ seconds: Int) -> [UInt8] {
        var seconds = seconds
        var parts = unsafe tm()
        _ = unsafe gmtime_r(&seconds, &parts)
        func two(_ value: Int32) -> String { value < 10 ? "0\(value)" : "\(value)" }
        let date = unsafe "\(1900 + parts.tm_year)-\(two(parts.tm_mon + 1))-\(two(parts.tm_mday))"
        let time = unsafe "\(two(parts.tm_hour)):\(two(parts.tm_min)):\(two(parts.tm_sec))"
        return Array("\(date)T\(time).000Z".utf8)
    }
}
