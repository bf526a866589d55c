import Translation

/// The owner of a session, as far as the session tells it what happens. Called on the loop.
protocol LegacySessionDelegate: AnyObject {
    /// The session itself has noticed that the server has lost it.
    func sessionWasLost()
    /// No further call is to use the session, though the server still knows it.
    func sessionWasGivenUp()
    /// Replicas that shared the session use another one from now on.
    func sessionWasReplaced()
    /// The server says that something has changed, on any way.
    func changeNoticeArrived(_ notice: ChangeNotice)
    /// The server could not be heard for a while, or cannot be heard any more.
    func serverWasUnheard()
    /// The server asked something, and no client could be asked.
    func questionHadNoClient()
}
