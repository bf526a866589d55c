/// How far a call had got when its client was asked. It says what is lost when the rest of the call is.
enum CallPhase: UInt8, Sendable {
    /// Nothing was sent: the server asked while its session was opened.
    case predispatch = 0
    /// The server works on it, and waits for the answers.
    case dispatched = 1
    /// It did not run, and is to be sent again once the user has been to the pages that the server named (`-32042`).
    case replay = 2
}
