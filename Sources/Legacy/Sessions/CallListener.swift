package import MCP
package import Translation

/// Whoever made a call, and hears what the server says of it before the answer.
package protocol CallListener: AnyObject {
    /// A notification about the call, in the order of the wire. Told on the loop, and never after the answer.
    func heard(_ notification: Envelope, _ kind: ServerNotification)
    /// Whether more may be told. While it is false the server has to wait.
    var hasRoom: Bool { get }
    /// Waits until `hasRoom`, or until the call is cancelled.
    func room() async
    /// The server asks something during the call (anything but `ping`). Returns whether it will be answered; else the
    /// server is told that no answer will come, or that the method does not exist.
    func asked(_ question: Envelope) -> Bool
}

/// The one call on a session that the server may ask something, wherever in the session it asks.
package protocol QuestionListener: CallListener {
    /// The server takes back the question with this id, as it spelled it.
    func withdrawn(_ questionID: [UInt8])
    /// The user has done what a page asked for; the elicitation's id in UTF-8.
    func completed(_ elicitationID: [UInt8])
}
