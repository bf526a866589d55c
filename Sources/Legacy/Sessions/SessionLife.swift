/// What a server makes of a session when it is asked.
enum SessionLife {
    case alive
    /// The server says that it does not know the session.
    case lost
    /// Nothing came that would tell.
    case silent
}
