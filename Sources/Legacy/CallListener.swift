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
}
