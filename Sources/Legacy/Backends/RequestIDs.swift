/// The ids of requests to one server, of all sessions that a loop has with it.
///
/// No two sessions use the same: a response that comes twice or late, on a connection that another session has by then, matches
/// no request. Each count begins at a random number, so that ids of loops, replicas and configurations meet by chance only. All
/// fit into 31 bits, which is what some servers read.
final class RequestIDs {
    private static let last = Int(Int32.max)
    private var next: Int

    init() { next = Int.random(in: 1...RequestIDs.last) }

    /// For a session that shares nothing with others.
    init(from first: Int) { next = first }

    func nextID() -> Int {
        defer { next = next == RequestIDs.last ? 1 : next + 1 }
        return next
    }
}
