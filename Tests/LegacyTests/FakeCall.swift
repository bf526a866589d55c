import MCP
import Reactor

@testable import Legacy

/// A call of a fake transport.
final class FakeCall: LegacyCall {
    let text: String
    private var outcome: Result<CallReply, BackendError>?
    private let changed: Wakeup
    private let ended = Wakeup()

    init(_ terms: Terms, _ text: String, _ changed: Wakeup) {
        self.text = text
        self.changed = changed
        super.init(terms)
    }

    /// Whether it asks for a sign of life.
    var isQuestion: Bool { text.contains(#""method":"ping""#) || text.contains(#"/list""#) }

    /// The server answers.
    ///
    /// - Parameter outcome: a member of the response.
    func respond(_ outcome: String = #""result":{}"#) {
        let messages = ServerMessages(
            Array(#"{"jsonrpc":"2.0","id":\#(id),\#(outcome)}"#.utf8), revision: nil, maxDepth: 64)
        for message in messages {
            guard case .response(_, let outcome) = message.kind else { continue }
            do throws(BackendError) {
                end(.success(try CallReply(LegacyResponse(document: message.document, outcome: outcome))))
            } catch {
                end(.failure(error))
            }
        }
    }

    /// What the server said leaves it open whether the session lives.
    func doubt(_ doubt: SessionDoubt) {
        end(.success(.doubted(doubt, otherwise: .failure(BackendError(.outcomeUnknown, "doubted")))))
    }

    override func waitForReply() async throws(BackendError) -> CallReply {
        defer { terms.session.callEnded(self) }
        while true {
            if let outcome { return try outcome.get() }
            await ended.wait()
        }
    }

    override var isOver: Bool { outcome != nil }

    override func failCall(with error: BackendError) { end(.failure(error)) }

    override func suspendTimeout() {}

    override func resumeTimeout(until end: Instant, silence: Duration?) {}

    private func end(_ outcome: Result<CallReply, BackendError>) {
        if self.outcome != nil { return }
        self.outcome = outcome
        ended.signal()
        changed.signal()
    }
}
