internal import CLibevent
internal import Crypto
internal import Glibc
internal import Synchronization

/// What goes on when its loop comes to it, instead of inside of the callback that made it ready.
package protocol Resumable: AnyObject {
    /// Continues the work. Called on the loop while no bytes are borrowed.
    func resumeWork()
}

/// An event loop: one thread, one libevent `event_base`, and the executor of every task that belongs to them.
///
/// What lives on a loop (sockets, timers, connections, sessions) is made, used and freed on its thread only; these classes are
/// not `Sendable`. Two doors lead in: `spawn` starts a task from code that already runs on the loop, and `post` brings a job from
/// another thread.
///
/// It is a `TaskExecutor`, so that a task started with `executorPreference:` stays on it, and a `SerialExecutor`, so
/// that an actor can live on it. With the second alone, each resumption visits the global pool and hops back, which
/// was measured at 14 to 38 µs against 0.4.
///
/// Bytes that a socket or a pipe has received are lent to its reader, which decodes them and does nothing else: what
/// becomes ready by them runs ``afterwards(_:)``. What could keep the loop to itself goes on in the ``nextTurn(_:)``.
@safe package final class Loop: SerialExecutor, TaskExecutor, @unchecked Sendable {
    // @unchecked is sound: `mailbox` and `thread` are guarded by their mutexes, `owner` is atomic, and everything else is
    // touched on the loop's own thread only, or before it has one.

    /// Bytes that one `recv` can take. One buffer serves every socket of the loop, so that an idle connection holds
    /// none; 64 KiB is what a loopback socket delivers at once under load.
    static let receiveBufferSize = 64 * 1024

    let base: EventBase
    /// Made when the first name is looked up, which a backend with a numeric address never needs.
    private var resolver: OpaquePointer?
    let receiveBuffer: UnsafeMutableRawBufferPointer
    /// Made for the first socket that speaks TLS.
    private var decryptionBuffer: UnsafeMutableRawBufferPointer?
    private let wakeup: Int32
    private let wakeupEvent: Event
    private let mailbox = Mutex<[UnownedJob]>([])
    private enum Ready {
        case job(UnownedJob)
        case work(any Resumable)
    }

    private var ready: [Ready] = []
    private var isDraining = false
    /// Whether a reader has the bytes of one of the buffers.
    private var isLending = false
    /// What goes on in the next turn.
    private var later: [any Resumable] = []
    private let laterEvent = Event()
    /// Sockets whose last read can have left an error behind. See ``checkEnd(of:)``.
    private var unchecked: [Socket] = []
    private let checkEvent = Event()
    private static let checkInterval: Duration = .seconds(1)
    private let thread = Mutex<pthread_t?>(nil)
    private let owner = Atomic<pthread_t>(pthread_self())
    private var isStopping = false

    package init() {
        base = EventBase()
        unsafe receiveBuffer = .allocate(byteCount: Loop.receiveBufferSize, alignment: 64)
        wakeup = remora_eventfd()
        // At the start, before anybody can connect.
        precondition(wakeup >= 0, "eventfd failed: the process is out of file descriptors at its start")
        wakeupEvent = Event()
        // The loop outlives its events: `Unmanaged` needs no retain here.
        unsafe wakeupEvent.assignEvent(
            base, fd: wakeup, events: EV_READ | EV_PERSIST,
            callback: { _, _, context in
                let loop = unsafe Unmanaged<Loop>.fromOpaque(context!).takeUnretainedValue()
                loop.runTurn { loop.collectMail() }
            },
            context: Unmanaged.passUnretained(self).toOpaque())
        wakeupEvent.add()
        unsafe laterEvent.assignEvent(
            base, fd: -1, events: 0,
            callback: { _, _, context in
                let loop = unsafe Unmanaged<Loop>.fromOpaque(context!).takeUnretainedValue()
                loop.runTurn { loop.runLater() }
            },
            context: Unmanaged.passUnretained(self).toOpaque())
        unsafe checkEvent.assignEvent(
            base, fd: -1, events: 0,
            callback: { _, _, context in
                let loop = unsafe Unmanaged<Loop>.fromOpaque(context!).takeUnretainedValue()
                loop.runTurn { loop.checkEnds() }
            },
            context: Unmanaged.passUnretained(self).toOpaque())
    }

    deinit {
        for event in [wakeupEvent, laterEvent, checkEvent] { event.deleteEvent() }
        close(wakeup)
        if let resolver = unsafe resolver { unsafe evdns_base_free(resolver, 0) }
        unsafe receiveBuffer.deallocate()
        unsafe decryptionBuffer?.deallocate()
    }

    // MARK: Running

    /// Runs the loop on the calling thread until `stopLoop`.
    package func runLoop() {
        owner.store(pthread_self(), ordering: .relaxed)
        runTurn { collectMail() }
        while !isStopping {
            unsafe event_base_loop(base.pointer, EVLOOP_NO_EXIT_ON_EMPTY)
        }
    }

    /// Runs the loop on a new thread of its own until `stopLoop`.
    package func runOnNewThread() {
        var id = pthread_t()
        // Released by the thread's first statement.
        let context = unsafe Unmanaged.passRetained(self).toOpaque()
        let failure = unsafe pthread_create(
            &id, nil,
            { context in
                unsafe Unmanaged<Loop>.fromOpaque(context!).takeRetainedValue().runLoop()
                return nil
            }, context)
        // At the start, before anybody can connect.
        precondition(failure == 0, "pthread_create failed: \(failure)")
        // From here on the caller is a stranger to the loop, even if the new thread has not come so far yet.
        owner.store(id, ordering: .relaxed)
        thread.withLock { $0 = id }
    }

    /// Waits until the thread that `runOnNewThread` started has ended.
    package func joinThread() {
        if let id = thread.withLock({ $0.take() }) { _ = pthread_join(id, nil) }
    }

    /// Ends `runLoop` after the callback that is running now. Call it on the loop.
    package func stopLoop() {
        assertOnLoop()
        isStopping = true
        unsafe event_base_loopbreak(base.pointer)
    }

    /// Starts a task on the loop from code that runs on it, so that what it captures need not be `Sendable`.
    package func spawn(_ body: @escaping () async -> Void) {
        assertOnLoop()
        // Sound: the closure is made on this thread, and its task never leaves it.
        struct Unchecked: @unchecked Sendable { let body: () async -> Void }
        let unchecked = Unchecked(body: body)
        Task(executorPreference: self) { await Resident(of: self).run(unchecked.body) }
    }

    /// Gives a task the isolation of its loop. Whether a task may go on where it is, the runtime then finds out by
    /// comparing two executors; without an actor it takes a lock to look up the task's preference, ten times a call.
    private actor Resident {
        private let loop: Loop

        nonisolated var unownedExecutor: UnownedSerialExecutor { unsafe loop.asUnownedSerialExecutor() }

        init(of loop: Loop) { self.loop = loop }

        func run(_ body: () async -> Void) async { await body() }
    }

    /// Runs `body` on the loop, from any thread.
    package func post(_ body: @escaping @Sendable () async -> Void) {
        Task(executorPreference: self) { await body() }
    }

    /// When the callback that is running began: one look at the clock serves all that it leads to.
    package private(set) var now = Instant.now

    // MARK: Jobs

    package func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        if isOnLoop { return ready.append(.job(job)) }
        let wasEmpty = mailbox.withLock { jobs in
            defer { jobs.append(job) }
            return jobs.isEmpty
        }
        if wasEmpty { _ = eventfd_write(wakeup, 1) }
    }

    /// What each C callback does: its own work, then every job that is ready. The loop never sleeps on a ready job.
    func runTurn(_ work: () -> Void) {
        now = .now
        work()
        runReadyJobs()
    }

    private func runReadyJobs() {
        if isDraining { return }
        isDraining = true
        defer { isDraining = false }
        let serial = unsafe asUnownedSerialExecutor()
        let preference = unsafe asUnownedTaskExecutor()
        var next = 0
        while next < ready.count {
            switch ready[next] {
            case .job(let job): unsafe job.runSynchronously(isolatedTo: serial, taskExecutor: preference)
            case .work(let work): work.resumeWork()
            }
            next += 1
        }
        ready.removeAll(keepingCapacity: ready.capacity <= 1024)
    }

    private func collectMail() {
        var count: eventfd_t = 0
        _ = unsafe eventfd_read(wakeup, &count)
        ready.append(
            contentsOf: mailbox.withLock { jobs in
                defer { jobs.removeAll() }
                return jobs.map { Ready.job($0) }
            })
    }

    // MARK: In order

    /// Has `work` go on when the callback that is running has returned, behind everything else that is ready, and before the
    /// loop looks at its sockets again.
    package func afterwards(_ work: any Resumable) { ready.append(.work(work)) }

    /// Has `work` go on when every socket that is ready by then has had its turn. Whatever has a peer that always has more
    /// for it does a little and then calls this.
    package func nextTurn(_ work: any Resumable) {
        // A timer, even of no time, comes after the sockets that have become ready.
        if later.isEmpty { laterEvent.add(after: .zero) }
        later.append(work)
    }

    /// Suspends the task until every socket that is ready by then has had its turn.
    package func nextTurn() async {
        await unsafe withUnsafeContinuation { continuation in nextTurn(unsafe Suspended(continuation)) }
    }

    @safe private final class Suspended: Resumable {
        private let continuation: UnsafeContinuation<Void, Never>

        init(_ continuation: UnsafeContinuation<Void, Never>) { unsafe self.continuation = continuation }

        // Resumed once: the loop drops what it has called.
        func resumeWork() { unsafe continuation.resume() }
    }

    private func runLater() {
        var work: [any Resumable] = []
        swap(&work, &later)
        for each in work { each.resumeWork() }
    }

    // MARK: Buffers

    /// Whether bytes may be received into a buffer of the loop: not while a reader has those of another socket.
    var mayReceive: Bool {
        assert(!isLending, "received while bytes are borrowed: what a reader does beside decoding runs afterwards")
        return !isLending
    }

    /// Lends the bytes of a buffer to a reader while `body` runs.
    @inline(__always)
    func lendBytes(_ body: () -> Void) {
        isLending = true
        body()
        isLending = false
    }

    // MARK: Ends

    /// Has a socket looked at once more when it has been still for ``checkInterval``, for the end that an error is.
    ///
    /// libevent reports an error as input alone, and a read that did not fill its buffer does not come to it. To read until
    /// nothing is left would cost a system call for each message; this costs one for each time that a socket falls still.
    func checkEnd(of socket: Socket) {
        if unchecked.isEmpty { checkEvent.add(after: Loop.checkInterval) }
        unchecked.append(socket)
    }

    private func checkEnds() {
        var sockets: [Socket] = []
        swap(&sockets, &unchecked)
        let before = Instant(nanoseconds: now.nanoseconds - Loop.checkInterval.nanoseconds)
        // What has come since proves that there was no error before it.
        for socket in sockets { if socket.lastRead <= before { socket.checkEnd() } else { checkEnd(of: socket) } }
    }

    /// Where TLS decrypts a record, for all sockets as well.
    var plainBuffer: UnsafeMutableRawBufferPointer {
        if let buffer = unsafe decryptionBuffer { return unsafe buffer }
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: TLSSession.maxRecord, alignment: 64)
        unsafe decryptionBuffer = buffer
        return unsafe buffer
    }

    /// The name servers of the system, as libevent's DNS client asks them; nil where none can be had. They are looked for again
    /// then: the process may have been out of descriptors.
    var nameServers: OpaquePointer? {
        if let resolver = unsafe resolver { return unsafe resolver }
        // Its sockets keep no loop awake when nothing is asked.
        let flags = EVDNS_BASE_INITIALIZE_NAMESERVERS | EVDNS_BASE_DISABLE_WHEN_INACTIVE
        guard let servers = unsafe evdns_base_new(base.pointer, flags) else { return nil }
        guard unsafe evdns_base_count_nameservers(servers) > 0 else {
            unsafe evdns_base_free(servers, 0)
            return nil
        }
        unsafe resolver = servers
        return unsafe servers
    }

    // MARK: Isolation

    /// Whether the caller runs on the loop's thread.
    package var isOnLoop: Bool { pthread_equal(pthread_self(), owner.load(ordering: .relaxed)) != 0 }

    package func assertOnLoop() { assert(isOnLoop, "this belongs to another loop") }

    // The runtime asks where code claims by `assumeIsolated` to be on the loop; nothing in Remora does.
    package func checkIsolated() { precondition(isOnLoop, "this belongs to another loop") }

    package func isIsolatingCurrentContext() -> Bool? { isOnLoop }
}
