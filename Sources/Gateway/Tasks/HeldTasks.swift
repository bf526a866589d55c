import Crypto
import Reactor
import Translation

/// The tasks that one loop holds, by the ids that their clients' tokens have. It outlives the gateways of the loop: a client finds its
/// task under whatever configuration it comes.
package final class HeldTasks: PromotedTasks {
    /// Bytes of all results that are kept. One may have as many as `limits.max_response` allows.
    private static let maxKeptBytes = 32 << 20
    /// The least between two looks at what has outlived its time: each looks at all that there is.
    private static let sweepInterval: Duration = .seconds(1)

    private let loop: Loop
    /// What is known of tasks that are not here; nil where replicas have no store.
    let outcomes: StoredOutcomes?
    private var tasks: [CallID: HeldTask] = [:]
    /// Tasks and those that are being made, of each principal.
    private var held: [KeyedHash: Int] = [:]
    private var count = 0
    /// Tasks whose end was told to their clients: they come first where room is needed.
    private var told = Spares<KeyedHash, CallID>()
    /// All whose outcome is kept, in the order in which they ended.
    private var kept = Line<CallID>()
    private var keptBytes = 0
    private let sweep: Deadline
    /// Signalled when a client knows the end of a task, and when one is forgotten.
    private let settled = Wakeup()
    var numbers = TaskCounts()

    init(on loop: Loop, outcomes: StoredOutcomes? = nil) {
        self.loop = loop
        self.outcomes = outcomes
        sweep = Deadline(on: loop)
        // The table has the deadline, which ends with it.
        sweep.onExpiry = { [unowned self] in expireTasks() }
    }

    /// What was counted so far.
    var counts: TaskCounts {
        var counts = numbers
        counts.kept = kept.count
        counts.running = tasks.count - kept.count
        return counts
    }

    func heldTask(_ id: CallID) -> HeldTask? { tasks[id] }

    func promotedTask(_ id: CallID) -> (TaskDescription, ServerInfo)? {
        tasks[id].map { ($0.description, $0.serverInfo) }
    }

    /// A place for a task that is about to be made; false where there is none. To be given back by ``leavePlace(_:)``, or filled by
    /// ``insertTask(_:)``.
    func reservePlace(for principal: KeyedHash, _ settings: TaskSettings) -> Bool {
        guard makesRoom(for: principal, settings) else {
            numbers.full += 1
            return false
        }
        held[principal, default: 0] += 1
        count += 1
        return true
    }

    private func makesRoom(for principal: KeyedHash, _ settings: TaskSettings) -> Bool {
        if held[principal, default: 0] >= settings.maxPerPrincipal {
            return evictTask(told.longestSpare(of: principal))
        }
        return count < settings.max || evictTask(told.longestOfTheLargest)
    }

    private func evictTask(_ id: CallID?) -> Bool {
        guard let id, let task = tasks[id] else { return false }
        forgetTask(task)
        return true
    }

    /// A place that was reserved is not needed.
    func leavePlace(_ principal: KeyedHash) {
        count -= 1
        guard let number = held[principal] else { return }
        held[principal] = number > 1 ? number - 1 : nil
    }

    /// Fills a place that was reserved.
    func insertTask(_ task: HeldTask) {
        tasks[task.id] = task
        setSweep(by: task.expires)
    }

    private func setSweep(by instant: Instant) {
        let due = max(instant, loop.now + HeldTasks.sweepInterval)
        if let next, next <= due, sweep.isSet { return }
        next = due
        sweep.set(due)
    }

    private var next: Instant?

    private func expireTasks() {
        let now = loop.now
        for task in Array(tasks.values) where task.expires <= now { forgetTask(task) }
        next = nil
        if let first = tasks.values.lazy.map(\.expires).min() { setSweep(by: first) }
    }

    /// The outcome of the task is there. The oldest go for it; it is kept itself, however large.
    func keepOutcome(_ outcome: TaskOutcome, of task: HeldTask) {
        numbers.noteEnd(outcome)
        guard tasks[task.id] === task, !kept.contains(task.id) else { return }
        if let outcomes {
            let stored = StoredOutcome(
                outcome: outcome, lastUpdatedAt: task.description.lastUpdatedAt,
                message: task.description.statusMessage ?? [])
            outcomes.writeOutcome(stored, of: task.id, for: task.expires - loop.now)
        }
        keptBytes += task.keptSize
        while keptBytes > HeldTasks.maxKeptBytes, let oldest = kept.first, let task = tasks[oldest] { forgetTask(task) }
        kept.append(task.id)
    }

    /// Its client knows the end of the task.
    func noteTold(_ task: HeldTask) {
        guard kept.contains(task.id) else { return }
        told.insert(task.id, of: task.principal)
        settled.signal()
    }

    /// Nothing will come of the task any more.
    private func forgetTask(_ task: HeldTask) {
        guard tasks.removeValue(forKey: task.id) != nil else { return }
        told.remove(task.id)
        if kept.contains(task.id) {
            kept.remove(task.id)
            keptBytes -= task.keptSize
        }
        leavePlace(task.principal)
        task.endHolding()
        settled.signal()
    }

    /// Waits while a task runs, or has ended and its client does not know that, and not beyond `end`.
    func waitForClients(until end: Instant) async {
        await settled.wait(while: { tasks.count > told.count }, until: end, on: loop)
    }

    /// Ends every task: the process is about to stop.
    func stopTasks() {
        for task in tasks.values { task.stopTask() }
        tasks = [:]
        (kept, keptBytes) = (Line(), 0)
        sweep.set(nil)
    }
}
