import JSONText
import MCP
package import Reactor
package import Translation

extension LegacyResponse {
    /// Whether the answer to `tasks/result` is the result of the call, and so the end of the task.
    package var isOfCall: Bool {
        guard case .result(let result) = outcome else { return false }
        return TaskOutcome.isOfCall(result, in: document)
    }

    /// The task in an answer to `tasks/get` or `tasks/cancel`. Nil: the answer is an error, or is about no task or another one.
    package func task(named id: [UInt8]) -> LegacyTask? {
        guard case .result(let result) = outcome, let task = LegacyTask(result, in: document), task.id == id else {
            return nil
        }
        return task
    }

    /// Whether the server does not know the task that it was asked about ("Error Handling").
    package var isOfUnknownTask: Bool { errorCode == ErrorCode.invalidParams }
}

/// Tasks of the session (2025-11-25, basic/utilities/tasks). Ids of tasks are the server's, in UTF-8.
extension LegacySession {
    /// Begins a call of a tool that is to be made a task. Its answer is the task, or the call's own where the server makes none.
    ///
    /// - Parameters:
    ///   - ttl: for how long the server is asked to keep the task, in milliseconds.
    ///   - observer: hears what the server says before it answers. It must outlive the call.
    package func createTask(
        _ request: ModernRequest, ttl: Int, credentials: Credentials, until end: Instant,
        observer: (any CallObserver)?
    ) -> LegacyCall {
        let revision = handshake.revision
        return beginCall(credentials: credentials, until: end, observer: observer, trace: request.trace) { id in
            RequestTranslation.legacyTaskRequest(
                request, in: RequestContext(id: id, revision: revision, wantsProgress: true), ttl: ttl)
        }
    }

    /// Asks where a task is.
    package func task(_ id: [UInt8], credentials: Credentials, until end: Instant) -> LegacyCall {
        let call = beginCall({ TaskRequest.get(id, id: $0) }, credentials: credentials, until: end)
        // It is no work.
        call.resumeTimeout(until: end, silence: patience)
        return call
    }

    /// Asks for what the call of a task would have answered. Most servers answer when the task has ended, and ask before that.
    ///
    /// - Parameter observer: as of ``createTask(_:ttl:credentials:until:observer:)``.
    package func taskResult(
        _ id: [UInt8], credentials: Credentials, until end: Instant, observer: any CallObserver
    ) -> LegacyCall {
        beginCall(credentials: credentials, until: end, observer: observer, trace: nil) { requestID in
            SplicedText(TaskRequest.result(id, id: requestID))
        }
    }

    /// Asks the server to cancel a task. One that has ended already is an error of the server's.
    package func cancelTask(_ id: [UInt8], credentials: Credentials, until end: Instant) -> LegacyCall {
        beginCall({ TaskRequest.cancel(id, id: $0) }, credentials: credentials, until: end)
    }

    /// Cancels a task without waiting for the answer.
    package func cancelTask(_ id: [UInt8], credentials: Credentials) {
        guard handshake.cancelsTasks, !isClosed else { return }
        let call = cancelTask(id, credentials: credentials, until: .now + LegacySession.askTimeout)
        loop.spawn { _ = try? await call.waitForResponse() }
    }

    /// Begins a call of a tool that runs as a task, to be waited for as any other: see ``DrivenCall``.
    package func driveTask(
        _ request: ModernRequest, ttl: Int, credentials: Credentials, until end: Instant, observer: any CallObserver
    ) -> LegacyCall {
        DrivenCall(
            request, ttl: ttl,
            as: LegacyCall.Terms(
                id: DrivenCall.noID, session: self, credentials: credentials, end: end, observer: observer))
    }
}
