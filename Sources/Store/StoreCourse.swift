import Reactor

/// What the connection to the store is to do next: events in, actions out, without a socket and without a clock.
///
/// Commands go out only on a connection that has answered the greeting, so nothing waits for a store that is away. Answers
/// come in the order of the commands. Whatever is wrong with one of them ends the connection.
struct StoreCourse {
    enum State: Equatable {
        /// The next attempt is made then.
        case waiting(until: Instant)
        case connecting
        /// Who Remora is has been said, and not yet answered.
        case greeting
        case ready
        case closed
    }

    enum Action: Equatable {
        case connect
        case send([UInt8])
        /// The connection is to be closed, if there is one.
        case disconnect
        /// The greeting was answered: commands are taken from now on.
        case becameReady
        case cameUp
        case wentDown(StoreFailure)
        /// The batch has all of its answers, none of which is an error.
        case finish(Int, [StoreReply])
        case fail(Int, StoreFailure)
    }

    /// Whether the store does what it is asked; said once for each change.
    private enum Report { case none, up, down }

    /// Commands that were sent together.
    private struct Batch {
        let id: Int
        let count: Int
        let deadline: Instant
        var replies: [StoreReply] = []
    }

    private(set) var state: State
    private(set) var counts = StoreCounts()
    private let greeting: [StoreCommand]
    private var report = Report.none
    private var pause = StoreLimits.firstPause
    private var batches: [Batch] = []
    private var nextID = 0
    private var reader = ReplyReader()

    /// - Parameters:
    ///   - password: sent by `AUTH`; `nil` where the store asks for none.
    ///   - database: sent by `SELECT` where it is not 0.
    init(password: String?, database: Int, at now: Instant) {
        state = .waiting(until: now)
        greeting =
            (password.map { [StoreCommand("AUTH", Array($0.utf8))] } ?? [])
            + (database == 0 ? [] : [StoreCommand("SELECT", Array("\(database)".utf8))]) + [StoreCommand("PING")]
    }

    /// When ``timePassed(at:)`` is to be called next, at the latest.
    var deadline: Instant? {
        switch state {
        case .waiting(let until): until
        case .greeting, .ready: batches.first?.deadline
        case .connecting, .closed: nil
        }
    }

    /// Commands whose answers have not come.
    private var waitingCommands: Int { batches.reduce(0) { $0 + $1.count - $1.replies.count } }

    // MARK: Events

    mutating func timePassed(at now: Instant) -> [Action] {
        guard let deadline, deadline <= now else { return [] }
        if case .waiting = state {
            state = .connecting
            return [.connect]
        }
        return breakOff(.timedOut, at: now)
    }

    mutating func connected(at now: Instant) -> [Action] {
        guard state == .connecting else { return [] }
        state = .greeting
        reader = ReplyReader()
        guard let text = StoreCourse.wireText(greeting) else { return breakOff(.malformed, at: now) }
        appendBatch(of: greeting.count, at: now)
        return [.send(text)]
    }

    /// No connection was made, or the one that there was has ended.
    mutating func disconnected(_ failure: StoreFailure, at now: Instant) -> [Action] {
        switch state {
        case .connecting, .greeting, .ready: breakOff(failure, at: now)
        case .waiting, .closed: []
        }
    }

    mutating func received(_ bytes: Span<UInt8>, at now: Instant) -> [Action] {
        guard state == .greeting || state == .ready else { return [] }
        var actions: [Action] = []
        do throws(StoreFailure) {
            try reader.feedBytes(bytes)
            while let reply = try reader.takeReply() { try takeReply(reply, &actions) }
        } catch {
            return actions + breakOff(error, at: now)
        }
        return actions
    }

    /// Commands to be sent together, whose answers come together.
    ///
    /// - Returns: the id of the batch, with what is to be done.
    mutating func sendBatch(
        _ commands: [StoreCommand], at now: Instant
    ) throws(StoreFailure) -> (id: Int, actions: [Action]) {
        guard state == .ready else { throw note(.unreachable("there is no connection to the store")) }
        guard !commands.isEmpty, waitingCommands + commands.count <= StoreLimits.maxCommands,
            let text = StoreCourse.wireText(commands)
        else { throw note(.full) }
        counts.commands += commands.count
        return (appendBatch(of: commands.count, at: now), [.send(text)])
    }

    mutating func close() -> [Action] {
        state = .closed
        return failBatches(.disconnected) + [.disconnect]
    }

    // MARK: Answers

    private mutating func takeReply(_ reply: StoreReply, _ actions: inout [Action]) throws(StoreFailure) {
        // An answer to nothing.
        guard !batches.isEmpty else { throw .malformed }
        if case .error(let text) = reply { throw .refused(errorCode(text)) }
        batches[0].replies.append(reply)
        guard batches[0].replies.count == batches[0].count else { return }
        let batch = batches.removeFirst()
        if state == .greeting {
            state = .ready
            actions.append(.becameReady)
            return
        }
        // A store that greets and then refuses what it is asked is no store: it counts as up with the first batch.
        pause = StoreLimits.firstPause
        counts.isReachable = true
        if report != .up { actions.append(.cameUp) }
        report = .up
        actions.append(.finish(batch.id, batch.replies))
    }

    /// The first word of an error. The text behind it may be anything, such as the password that was sent.
    private func errorCode(_ text: [UInt8]) -> String {
        let word = String(decoding: text.prefix { $0 != 0x20 }.prefix(32), as: UTF8.self)
        let code = StoreCourse.knownCodes.contains(word) ? word : "an error"
        guard state == .greeting, let batch = batches.first, batch.replies.count < greeting.count else { return code }
        return "\(String(decoding: greeting[batch.replies.count].arguments[0], as: UTF8.self)), \(code)"
    }

    private static let knownCodes: Set = [
        "ERR", "WRONGPASS", "NOAUTH", "NOPERM", "READONLY", "LOADING", "OOM", "MISCONF", "MASTERDOWN", "CLUSTERDOWN",
        "MOVED",
        "WRONGTYPE", "NOREPLICAS", "BUSY", "DENIED", "EXECABORT", "TRYAGAIN",
    ]

    // MARK: Steps

    @discardableResult
    private mutating func appendBatch(of count: Int, at now: Instant) -> Int {
        nextID &+= 1
        batches.append(Batch(id: nextID, count: count, deadline: now + StoreLimits.commandTimeout))
        return nextID
    }

    private mutating func breakOff(_ failure: StoreFailure, at now: Instant) -> [Action] {
        _ = note(failure)
        state = .waiting(until: now + pause)
        pause = min(pause * 2, StoreLimits.longestPause)
        counts.isReachable = false
        let isNews = report != .down
        report = .down
        return failBatches(failure) + [.disconnect] + (isNews ? [.wentDown(failure)] : [])
    }

    private mutating func failBatches(_ failure: StoreFailure) -> [Action] {
        let failed = batches
        batches = []
        return failed.map { .fail($0.id, failure) }
    }

    private mutating func note(_ failure: StoreFailure) -> StoreFailure {
        counts.failures[failure.kind, default: 0] += 1
        return failure
    }

    /// `nil` where one of them is larger than any may be.
    private static func wireText(_ commands: [StoreCommand]) -> [UInt8]? {
        var text: [UInt8] = []
        for command in commands {
            guard let part = command.wireText else { return nil }
            text += part
        }
        return text
    }
}

/// What the connection to the store has done since the start.
package struct StoreCounts: Sendable, Equatable {
    /// Whether it does what it is asked, as far as that is known.
    package var isReachable = false
    /// Commands that were sent, without those of the greeting.
    package var commands = 0
    package var failures: [StoreFailure.Kind: Int] = [:]

    package init() {}

    /// Adds those of another connection to the same store.
    package mutating func addCounts(_ other: StoreCounts) {
        isReachable = isReachable && other.isReachable
        commands += other.commands
        failures.merge(other.failures) { $0 + $1 }
    }
}
