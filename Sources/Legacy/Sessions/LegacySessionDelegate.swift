import Translation

/// The owner of a session, as far as the session tells it what happens. Called on the loop.
protocol LegacySessionDelegate: AnyObject {
    /// The session itself has noticed that the server has lost it.
    func sessionWasLost()
    /// No further call is to use the session, though the server still knows it.
    func sessionWasGivenUp()
    /// The server says that something has changed, on any way.
    func changeNoticeArrived(_ notice: ChangeNotice)
    /// The server can be heard again after a time in which it could not.
    func serverIsHeardAgain()
    /// The server asked something, and no client could be asked.
    func questionHadNoClient()
}
