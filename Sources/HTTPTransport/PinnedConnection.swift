package import Reactor

/// One connection for all requests of somebody, one after the other, in the order in which they ask for it. When it ends
/// there is no other.
package final class PinnedConnection {
    /// After this long without a request somebody should send one: see ``HTTPConnectionPool/idleLifetime``.
    private static let rest = HTTPConnectionPool.idleLifetime

    private enum State {
        /// Nobody has asked for it. Leads to `inUse`.
        case none
        /// Somebody makes it, or has a request on it. Leads to `idle` or `over`.
        case inUse
        /// Leads to `inUse` or `over`.
        case idle(HTTPClientConnection)
        /// It has ended, or could not be made.
        case over
    }

    /// Somebody who waits for it.
    private final class Turn {
        let wakeup = Wakeup()
        var connection: HTTPClientConnection?
        var isOver = false
    }

    private var state = State.none
    /// Who asked first is first.
    private var turns: [Turn] = []
    private let rest: Deadline

    /// Called when it ends or cannot be made, once, but not by ``close()``.
    package var onEnd: (() -> Void)?
    /// Called when it has been idle for so long that a server may soon close it.
    package var onRest: (() -> Void)?

    package init(on loop: Loop) {
        rest = Deadline(on: loop)
        rest.onExpiry = { [unowned self] in onRest?() }
    }

    /// Whether it has ended, or could not be made.
    package var isOver: Bool { if case .over = state { true } else { false } }

    /// It, if nobody has it and it can be used. To be given back by ``giveBack(_:)`` or ``lose()``.
    package func takeIdle() -> HTTPClientConnection? {
        guard case .idle(let connection) = state else { return nil }
        rest.set(nil)
        guard connection.isQuiet else {
            connection.close()
            lose()
            return nil
        }
        state = .inUse
        return connection
    }

    /// The same, after all who asked before; nil when it has ended.
    ///
    /// - Parameter make: makes it, for who comes first.
    package func take(
        _ make: () async throws(HTTPClientError) -> HTTPClientConnection
    ) async throws(HTTPClientError) -> HTTPClientConnection? {
        switch state {
        case .idle: return takeIdle()
        case .over: return nil
        case .inUse: return await wait()
        case .none:
            state = .inUse
            do throws(HTTPClientError) {
                return try await make()
            } catch {
                lose()
                throw error
            }
        }
    }

    private func wait() async -> HTTPClientConnection? {
        let turn = Turn()
        turns.append(turn)
        while turn.connection == nil, !turn.isOver { await turn.wakeup.wait() }
        return turn.connection
    }

    /// The answer on it has ended.
    package func giveBack(_ connection: HTTPClientConnection) {
        guard connection.isReusable, !isOver else {
            connection.close()
            return lose()
        }
        if turns.isEmpty {
            state = .idle(connection)
            rest.set(after: PinnedConnection.rest)
        } else {
            let next = turns.removeFirst()
            next.connection = connection
            next.wakeup.signal()
        }
    }

    /// It has ended under a request.
    package func lose() {
        guard !isOver else { return }
        end()
        let tell = onEnd
        onEnd = nil
        tell?()
    }

    /// Ends it. A request that is on it comes to its own end.
    package func close() {
        onEnd = nil
        end()
    }

    private func end() {
        if case .idle(let connection) = state { connection.close() }
        state = .over
        onRest = nil
        rest.set(nil)
        let waiting = turns
        turns = []
        for turn in waiting {
            turn.isOver = true
            turn.wakeup.signal()
        }
    }
}
