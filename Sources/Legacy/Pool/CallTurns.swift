package import Crypto
package import Reactor

/// Whose turn it is at a server that gets only so many calls at once (`backends[].calls_at_once`): the calls of one caller in the
/// order in which they came, and the callers one after the other.
///
/// A call has its turn from before it has a session until it has ended, also while it waits for its client: its handler runs.
/// So no more sessions are opened for it than the server gets calls.
package final class CallTurns {
    /// As many as may wait for a session (``SessionPool``), and for the same reason: each holds its request.
    private static let maxWaiting = 1024
    private static let maxWaitingPerCaller = 256

    /// How many calls have a turn at once; nil: any number.
    private let limit: Int?
    private let loop: Loop
    /// How many have.
    private var running = 0
    /// Those that wait. No caller here has none.
    private var queues: [KeyedHash: [CallTurn]] = [:]
    /// The callers whose calls wait, the next one first.
    private var order: [KeyedHash] = []
    private var waitingCount = 0

    package init(_ limit: Int?, on loop: Loop) {
        self.limit = limit
        self.loop = loop
    }

    /// Whether calls have to take turns.
    package var isLimited: Bool { limit != nil }

    /// Waits for a turn.
    ///
    /// - Parameters:
    ///   - turn: a new one, to be given back. It may be cancelled meanwhile.
    ///   - end: when to wait no longer.
    package func takeTurn(_ turn: CallTurn, until end: Instant) async throws(BackendError) {
        if turn.state == .over { throw .clientLeft }
        let own = queues[turn.caller]?.count ?? 0
        guard waitingCount < CallTurns.maxWaiting, own < CallTurns.maxWaitingPerCaller else {
            turn.state = .over
            throw BackendError(.busy, "\(rule), and enough requests wait for their turn")
        }
        turn.state = .waiting
        turn.turns = self
        queues[turn.caller, default: []].append(turn)
        if own == 0 { order.append(turn.caller) }
        waitingCount += 1
        letNext()
        await turn.changed.wait(while: { turn.state == .waiting }, until: end, on: loop)
        switch turn.state {
        case .held: return
        case .over: throw .clientLeft
        case .waiting:
            turn.endTurn()
            throw BackendError(.busy, "\(rule), and those before this one have not ended in its time")
        }
    }

    private var rule: String { "the server gets \(limit ?? 0) at once (backends[].calls_at_once)" }

    private func letNext() {
        while let caller = order.first, running < limit ?? .max {
            order.removeFirst()
            guard let turn = dequeueTurn(caller) else { continue }
            if queues[caller] != nil { order.append(caller) }
            running += 1
            turn.state = .held
            turn.changed.signal()
        }
    }

    private func dequeueTurn(_ caller: KeyedHash) -> CallTurn? {
        guard var queue = queues[caller], !queue.isEmpty else { return nil }
        let turn = queue.removeFirst()
        queues[caller] = queue.isEmpty ? nil : queue
        waitingCount -= 1
        return turn
    }

    fileprivate func turnAbandoned(_ turn: CallTurn) {
        queues[turn.caller]?.removeAll { $0 === turn }
        waitingCount -= 1
        guard queues[turn.caller]?.isEmpty == true else { return }
        queues[turn.caller] = nil
        order.removeAll { $0 == turn.caller }
    }

    fileprivate func turnEnded() {
        running -= 1
        letNext()
    }
}

/// A call's turn.
package final class CallTurn {
    fileprivate enum State {
        case waiting, held, over
    }

    fileprivate let caller: KeyedHash
    fileprivate var state = State.waiting
    fileprivate var turns: CallTurns?
    fileprivate let changed = Wakeup()

    package init(of caller: KeyedHash) { self.caller = caller }

    /// The call is over, or does not want its turn any more. Harmless when that is known.
    package func endTurn() {
        let before = state
        state = .over
        guard let turns = turns.take() else { return }
        switch before {
        case .held: turns.turnEnded()
        case .waiting:
            turns.turnAbandoned(self)
            changed.signal()
        case .over: break
        }
    }

    /// Its client has left: a call that waits for its turn gets none. One that has it gives it back when it has ended.
    package func clientLeft() {
        if state == .waiting { endTurn() }
    }
}
