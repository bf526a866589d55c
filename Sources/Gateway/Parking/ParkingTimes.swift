/// How long a call with questions waits for what.
struct ParkingTimes: Sendable {
    /// For the client to come back with answers, from each time that it was asked.
    var park: Duration = .seconds(600)
    /// For another question, after one: what a server asks at once is one round for the client.
    var quiet: Duration = .milliseconds(30)
    /// The same in all, for a server that does not stop to ask.
    var window: Duration = .milliseconds(150)
    /// With a retry, for the user to come to an end in a browser. Longer than most pages take to load, shorter than what
    /// clients and balancers take for a dead connection.
    var browser: Duration = .seconds(25)
    /// For a retry to be sent again when its connection broke: without, a network that stutters cancels the call.
    var grace: Duration = .seconds(2)
    /// From the cancellation to the answers in place of the client's: some tools go on with "cancel" as an answer, so that they
    /// have to hear of the cancellation first.
    var leftovers: Duration = .seconds(1)
    /// From the cancellation to the end of the session, when the server still works on the call.
    var cancellation: Duration = .seconds(5)
}
