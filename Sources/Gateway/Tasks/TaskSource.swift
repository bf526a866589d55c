import Legacy
import Reactor

/// What a held task is of: a task of the server, or a call that runs. It says to the ``HeldTask`` what becomes of that.
protocol TaskSource: AnyObject {
    /// Asks the server where the task is, with ``HeldTask/credentials``.
    ///
    /// - Parameter end: when the request that wants to know has taken too long.
    func askServer(until end: Instant) async -> HeldTask.Poll
    /// Sends the server an answer to one of its questions.
    ///
    /// - Parameter reply: a JSON-RPC response.
    func sendAnswer(_ reply: [UInt8]) async throws(BackendError)
    /// Asks the server to cancel the task. One that has ended, or cannot be cancelled, goes on as it is.
    ///
    /// - Returns: why the server was not asked.
    func cancelTask(until end: Instant) async -> BackendError?
    /// The task has ended: gives back what it holds.
    ///
    /// - Parameter unanswered: responses that say of its open questions that no answer will come. The server gets them only where the
    ///   tool may still wait for them.
    func letGo(_ end: HeldTask.End, unanswered: [[UInt8]])
}
