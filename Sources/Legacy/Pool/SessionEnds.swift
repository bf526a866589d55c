import Reactor

/// Ends sessions on the server, so many at once: over HTTP each end takes a connection, and a server may take its time.
final class SessionEnds {
    private static let maxAtOnce = 16

    /// How many sessions may be in line: as many as there may be. A server that takes longer for their ends than callers come is
    /// not told of the rest.
    var maxWaiting: Int
    /// Those in line, the next one last.
    private var waiting: [LegacySession] = []
    /// How many are being ended.
    private(set) var underWay = 0
    /// How many were closed without a word to the server.
    private(set) var untold = 0
    private let loop: Loop
    /// Signalled when none is left that one of the tasks could end.
    private let ended: Wakeup

    init(maxWaiting: Int, on loop: Loop, ended: Wakeup) {
        self.maxWaiting = maxWaiting
        self.loop = loop
        self.ended = ended
    }

    /// How many have not ended yet.
    var count: Int { waiting.count + underWay }

    /// Ends a session in turn. Where too many are in line, the server is not told.
    func endSession(_ session: LegacySession) {
        guard waiting.count < maxWaiting else {
            untold += 1
            return session.forgetSession()
        }
        endInTurn(session)
    }

    /// Ends a session in turn, however many are in line.
    func endInTurn(_ session: LegacySession) {
        waiting.append(session)
        guard underWay < SessionEnds.maxAtOnce else { return }
        underWay += 1
        loop.spawn {
            while let next = self.waiting.popLast() { await next.closeSession() }
            self.underWay -= 1
            self.ended.signal()
        }
    }

    /// Ends a session beside all others.
    func endAtOnce(_ session: LegacySession) {
        underWay += 1
        loop.spawn {
            await session.closeSession()
            self.underWay -= 1
            self.ended.signal()
        }
    }
}
