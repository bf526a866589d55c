package import Reactor

/// One connection for all requests of one owner, one after the other, in the order in which they ask for it. When it ends there
/// is no other.
package final class PinnedConnection {
    /// After this long without a request the owner should send one: see ``HTTPConnectionPool/idleLifetime``.
    private static let rest = HTTPConnectionPool.idleLifetime

    private enum State {
        /// No request has it. Leads to `inUse`.
        case none
        /// It is being made, or has a request on it. Leads to `idle` or `over`.
        case inUse
        /// Leads to `inUse` or `over`.
        case idle(HTTPClientConnection)
        /// It has ended, or could not be made.
        case over
    }

    /// A request that waits for it.
    private final class Turn {
        let wakeup = Wakeup()
        var connection: HTTPClientConnection?
        var isOver = false
    }

    private var state = State.none
    /// Who asked first is first.
    private var turns: [Turn] = []
    private let rest: Deadline

    /// Called when it ends or cannot be made, once, but not by ``closeConnection()``.
    package var onEnd: (() -> Void)?
    /// Called when it has been idle for so long that a server may soon close it.
    package var onRest: (() -> Void)?

    package init(on loop: Loop) {
        rest = Deadline(on: loop)
        rest.onExpiry = { [unowned self] in onRest?() }
    }

    /// Whether it has ended, or could not be made.
    package var isOver: Bool { if case .over = state { true } else { false } }

    /// The connection, if no request has it and it can be used. To be given back by ``giveBackConnection(_:)`` or
    /// ``loseConnection()``.
    package func takeIdle() -> HTTPClientConnection? {
        guard case .idle(let connection) = state else { return nil }
        rest.set(nil)
        guard connection.isQuiet else {
            connection.closeConnection()
            loseConnection()
            return nil
        }
        state = .inUse
        return connection
    }

    /// The same, after all who asked before; nil when it has ended.
    ///
    /// - Parameter make: makes it, for who comes first.
    package func takeTurn(
        _ make: () async throws(HTTPClientError) -> HTTPClientConnection
    ) async throws(HTTPClientError) -> HTTPClientConnection? {
        switch state {
        case .idle: return takeIdle()
        case .over: return nil
        case .inUse: return await waitForConnection()
        case .none:
            state = .inUse
            do throws(HTTPClientError) {
                return try await make()
            } catch {
                loseConnection()
                throw error
            }
        }
    }

    private func waitForConnection() async -> HTTPClientConnection? {
        let turn = Turn()
        turns.append(turn)
        while turn.connection == nil, !turn.isOver { await turn.wakeup.wait() }
        return turn.connection
    }

    /// The answer on it has ended.
    package func giveBackConnection(_ connection: HTTPClientConnection) {
        guard connection.isReusable, !isOver else {
            connection.closeConnection()
            return loseConnection()
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
    package func loseConnection() {
        guard !isOver else { return }
        endConnection()
        let tell = onEnd
        onEnd = nil
        tell?()
    }

    /// Ends it. A request that is on it comes to its own end.
    package func close() {
        onEnd = nil
        endConnection()
    }

    private func endConnection() {
        if case .idle(let connection) = state { connection.closeConnection() }
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
