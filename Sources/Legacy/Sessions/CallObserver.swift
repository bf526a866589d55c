package import MCP
package import Translation

/// The maker of a call, which hears what the server says of it before the response.
package protocol CallObserver: AnyObject {
    /// A notification about the call, in the order of the wire. Told on the loop, and never after the answer.
    func notificationArrived(_ notification: Envelope, _ kind: ServerNotification)
    /// Whether more may be told. While it is false the server has to wait.
    var hasRoom: Bool { get }
    /// Waits until `hasRoom`, or until the call is cancelled.
    func waitForRoom() async
    /// The server asks something during the call (anything but `ping`). Returns whether it will be answered; else the
    /// server is told that no answer will come, or that the method does not exist.
    func questionArrived(_ question: Envelope) -> Bool
}

/// The one call on a session that the server may ask something, wherever in the session it asks.
package protocol QuestionObserver: CallObserver {
    /// The server takes back the question with this id, as it spelled it.
    func questionWithdrawn(_ questionID: [UInt8])
    /// The user has done what a page asked for; the elicitation's id in UTF-8.
    func elicitationCompleted(_ elicitationID: [UInt8])
}
