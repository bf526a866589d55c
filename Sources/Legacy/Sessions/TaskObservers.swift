import JSONText
import MCP
package import Translation

/// Who hears of the tasks of a session, by the server's names of them. Most sessions have none.
struct TaskObservers {
    private var observers: [[UInt8]: any TaskObserver] = [:]
    /// Tasks that the server has said of, on the session's own account, that they ask, in their order, with its words. FastMCP says so before
    /// each question, and nothing in the question.
    private var announced: [(task: [UInt8], words: [UInt8]?)] = []

    /// How many tasks are being made.
    private var expected = 0
    /// Questions of tasks that have no observer yet: a question may overtake the answer that names its task.
    private var early: [Early] = []

    struct Early {
        let task: [UInt8]
        let question: Envelope
        let credentials: Credentials
    }

    /// A server that announces and does not ask.
    private static let maxAnnounced = 64
    private static let maxEarly = 32

    /// Returns the questions that the task has asked already.
    mutating func insertObserver(_ observer: any TaskObserver, for task: [UInt8]) -> [Early] {
        observers[task] = observer
        let own = early.filter { $0.task == task }
        early.removeAll { $0.task == task }
        return own
    }

    /// A task is being made.
    mutating func expectTask() { expected += 1 }

    /// It is there, or will never be. Returns the questions that no task has asked which is known.
    mutating func expectTaskNoLonger() -> [Early] {
        expected -= 1
        guard expected == 0 else { return [] }
        defer { early = [] }
        return early
    }

    /// Keeps a question for a task that may be about to be known. Returns whether it was kept.
    mutating func keepQuestion(_ question: Envelope, isUnnamed: Bool, _ credentials: Credentials) -> Bool {
        guard expected > 0, early.count < TaskObservers.maxEarly else { return false }
        let named = TaskRequest.task(of: question)
        guard let task = named ?? (isUnnamed ? announcement(of: question).map { announced[$0].task } : nil),
            observers[task] == nil
        else { return false }
        announced.removeAll { $0.task == task }
        early.append(Early(task: task, question: question, credentials: credentials))
        return true
    }

    mutating func removeTask(_ task: [UInt8]) {
        observers[task] = nil
        announced.removeAll { $0.task == task }
    }

    /// Whose task a message of the server is about; nil where it names none that is known.
    func observer(of message: Envelope) -> (any TaskObserver)? {
        if observers.isEmpty { return nil }
        return TaskRequest.task(of: message).flatMap { observers[$0] }
    }

    /// The observer of the task that asks, for a question that names no task and belongs to no request. That is the task that announced
    /// the question's words, or else the task that announced a question first. `nil`: no task announced one, or it has no observer.
    mutating func announcedObserver(of question: Envelope) -> (any TaskObserver)? {
        announcement(of: question).flatMap { observers[announced.remove(at: $0).task] }
    }

    private func announcement(of question: Envelope) -> Int? {
        if announced.isEmpty { return nil }
        let document = question.document
        let words = question.params.flatMap { document.value("message", of: $0, .string) }.map {
            Array(document.raw($0))
        }
        return announced.firstIndex { $0.words == words } ?? 0
    }

    /// A task is as the server says. Its answer may be on its way that says whose it is.
    mutating func taskArrived(_ task: LegacyTask) {
        announced.removeAll { $0.task == task.id }
        if task.status == .inputRequired {
            if announced.count == TaskObservers.maxAnnounced { announced.removeFirst() }
            announced.append((task.id, task.statusMessage))
        }
        observers[task.id]?.taskArrived(task)
    }

    /// The server takes a question back. It does not say whose it was.
    func questionWithdrawn(_ questionID: [UInt8]) {
        for observer in observers.values { observer.questionWithdrawn(questionID) }
    }

    func elicitationCompleted(_ elicitationID: [UInt8]) {
        for observer in observers.values { observer.elicitationCompleted(elicitationID) }
    }
}

/// The holder of a task. It hears what the server says of the task, on the stream of a call or aside.
package protocol TaskObserver: QuestionObserver {
    /// The task is as this says.
    func taskArrived(_ task: LegacyTask)
}
