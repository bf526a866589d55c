import Legacy
import Reactor
import Translation

/// Tells one subscription of tasks: each time that something has changed of one, the whole of it (ext-tasks, "Task Status
/// Notifications"). A client that does not read is told of the latest state once it does.
///
/// It looks at each task as often as the server wants, and at once where the server tells of it. It lives as long as its subscription.
final class TaskWatch {
    /// What a client can see of a task, beside its times: some servers give it new ones each time that it is looked at.
    private struct View: Equatable {
        let name: String
        let message: [UInt8]?
        let questions: [String]
    }

    private let subscription: Subscription
    private let declared: InputCapabilities
    private let credentials: Credentials
    private let loop: Loop
    private var tasks: [HeldTask] = []
    private var lost: [(TaskDescription, TaskState)] = []
    /// What the client was told last of each, by their places.
    private var told: [View?] = []

    init(
        for subscription: Subscription, declaring declared: InputCapabilities, _ credentials: Credentials, on loop: Loop
    ) {
        self.subscription = subscription
        self.declared = declared
        self.credentials = credentials
        self.loop = loop
    }

    func addTask(_ task: HeldTask) {
        tasks.append(task)
        // Where a client begins. Of anything else it may not know yet.
        let view = TaskWatch.view(of: task)
        told.append(view.name == "working" ? view : nil)
    }

    /// A task of which this alone is known.
    func addLost(_ description: TaskDescription, _ state: TaskState) { lost.append((description, state)) }

    func beginWatching() {
        guard !tasks.isEmpty || !lost.isEmpty else { return }
        subscription.onRoom = { [self] in tellChanges() }
        for task in tasks { loop.spawn { await self.followTask(task) } }
        // Behind the acknowledgment.
        loop.spawn { self.tellChanges() }
    }

    private func followTask(_ task: HeldTask) async {
        while !subscription.isEnded, !task.hasEnded {
            _ = await task.pollServer(credentials, until: loop.now + .seconds(30))
            tellChanges()
            if task.hasEnded { return }
            await task.waitForNews(until: loop.now + task.pollInterval)
        }
        tellChanges()
    }

    /// Tells what the client does not know, as far as it takes it.
    private func tellChanges() {
        if subscription.isEnded {
            subscription.onRoom = nil
            return
        }
        while let (description, state) = lost.last {
            guard subscription.sendMessage(TaskText.notification(description, state, subscription: subscription.id))
            else {
                return
            }
            lost.removeLast()
        }
        for (place, task) in tasks.enumerated() {
            let view = TaskWatch.view(of: task)
            guard told[place] != view, task.needs.subtracting(declared).isEmpty else { continue }
            let text = TaskText.notification(task.description, task.state, subscription: subscription.id)
            guard subscription.sendMessage(text) else { return }
            told[place] = view
        }
    }

    private static func view(of task: HeldTask) -> View {
        let (name, questions): (String, [String]) =
            switch task.state {
            case .working: ("working", [])
            case .inputRequired(let questions): ("input_required", questions.map(\.key))
            case .ended: ("ended", [])
            }
        return View(name: name, message: task.description.statusMessage, questions: questions)
    }
}
