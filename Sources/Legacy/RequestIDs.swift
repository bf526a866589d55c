/// The ids of requests to one server, of all sessions that a loop has with it.
///
/// No two sessions use the same: an answer that comes twice or late, on a connection that another session has by then, is
/// nobody's.
final class RequestIDs {
    private var last = 0

    func next() -> Int {
        last &+= 1
        return last
    }
}
