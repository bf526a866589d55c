import Legacy

/// The course of a call to the server and back: the part without I/O. It says what has to be there before the call is sent, in its order,
/// and what becomes of the call and of its session when an attempt fails. ``TranslatedCall`` does what it says.
struct CallCourse {
    /// What is done next. A step is reached when the one before is done.
    enum Step: Int {
        /// A turn, at a server that gets only so many calls at once.
        case turn
        case session
        /// The server offers what the request is for, and the request is complete.
        case offer
        /// Whether the server asks on a stream of its own is known: what it asks before that is lost.
        case pushChannel
        /// What the server's tools want in the header is known, and is there.
        case headerParameters
        /// The server was asked for log messages.
        case logLevel
        /// The call can be sent.
        case dispatch
        /// The call can be sent, and waits for answers to what the server asked before.
        case held
        /// The call was sent.
        case answer
        case over
    }

    /// What becomes of the session that a call had.
    enum SessionEnd {
        /// Other calls may have it.
        case released
        /// Other calls may have it, and it is asked whether it lives: the call had no answer.
        case doubted
        /// The server has lost it.
        case retired
        /// Something of the call may still run in it, and would ask the next call.
        case givenUp
        /// Another replica may have it, with the call: the server is told nothing.
        case left
    }

    /// What follows a failure.
    enum Failure {
        /// Another attempt, from the first step on.
        case again(SessionEnd)
        /// The end, and what the client is told.
        case over(BackendError, SessionEnd, wasSent: Bool)
    }

    /// Whether the call has a session to itself, in which the server may ask its client.
    let isExclusive: Bool
    private(set) var step = Step.turn
    private var attempts = Attempts()
    /// Whether there was a moment in this attempt at which no client waited.
    private var wasDeserted = false
    /// Whether a client heard something of this attempt: another attempt would tell it again.
    private var wasTold = false

    init(isExclusive: Bool) { self.isExclusive = isExclusive }

    /// Whether everything is there that has to be there before the call is sent.
    var isPrepared: Bool { step.rawValue >= Step.held.rawValue }

    /// The session of the attempt before, which was lost or had no answer.
    var lastSession: LegacySession? { attempts.session }

    /// How an attempt ended after which the request may have run; nil where none did so.
    var doubt: BackendError? { attempts.doubt }

    // MARK: Events

    /// What the step is for is there.
    mutating func finishStep() {
        // `dispatch` is left when the call is held, sent or over.
        if step.rawValue < Step.dispatch.rawValue, let next = Step(rawValue: step.rawValue + 1) { step = next }
    }

    /// The call is prepared, and not to be sent yet.
    mutating func holdCall() { step = .held }

    /// The call was sent.
    mutating func noteSending() {
        step = .answer
        wasTold = false
    }

    /// The answer has come, or the request is refused.
    mutating func endCall() { step = .over }

    /// A client hears something of the call.
    mutating func noteClientWasTold() { wasTold = true }

    /// No client waits any more.
    mutating func noteDesertion() { wasDeserted = true }

    /// The call is to be sent, which was not to be or has ended: as if nothing had been tried, but that the request may
    /// have run stays true.
    ///
    /// - Parameter isPrepared: whether everything is there for that.
    mutating func beginSending(isPrepared: Bool) {
        attempts.beginAnew()
        restartSteps()
        if isPrepared { step = .held }
    }

    private mutating func restartSteps() {
        step = .turn
        wasDeserted = false
        wasTold = false
    }

    /// A step has failed, or the call that was sent.
    ///
    /// - Parameters:
    ///   - session: of this attempt; nil where there was none yet.
    ///   - isWanted: whether a client waits.
    ///   - mayRepeat: whether the request may run twice.
    mutating func failStep(
        _ error: BackendError, on session: LegacySession?, isWanted: Bool, mayRepeat: Bool
    ) -> Failure {
        let wasSent = step == .answer
        if isWanted, wasDeserted, !isPrepared, error.kind == .cancelled {
            // A client has come since, which has not left.
            restartSteps()
            return .again(.released)
        }
        do throws(BackendError) {
            guard isWanted, !wasTold, step.rawValue > Step.session.rawValue else { throw error }
            try attempts.noteFailure(error, mayRepeat: mayRepeat)
            attempts.session = session
            restartSteps()
            return .again(sessionEnd(after: error, wasSent: wasSent))
        } catch let last {
            step = .over
            // What the client is told may be about an attempt before this one, in another session.
            return .over(attempts.errorForClient(last), sessionEnd(after: error, wasSent: wasSent), wasSent: wasSent)
        }
    }

    private func sessionEnd(after error: BackendError, wasSent: Bool) -> SessionEnd {
        if error.kind == .sessionLost { return .retired }
        if isExclusive, wasSent, !error.isBeforeDispatch { return .givenUp }
        return error.kind == .noAnswer ? .doubted : .released
    }
}
