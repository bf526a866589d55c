import Reactor
import TestSupport

/// A request, as a scripted server received it.
struct ReceivedRequest {
    /// The connection that it came on.
    let peer: Peer
    /// The start line and the fields.
    let head: String
    let body: String

    var startLine: String { head.split(separator: "\r\n").first.map(String.init) ?? "" }

    /// The value of the first field line with this name; nil where there is none.
    func field(_ name: String) -> String? {
        for line in head.split(separator: "\r\n").dropFirst() {
            let parts = line.split(separator: ":", maxSplits: 1)
            guard parts.count == 2, parts[0].lowercased() == name.lowercased() else { continue }
            return String(parts[1].drop { $0 == " " })
        }
        return nil
    }

    /// - Parameter fields: further field lines, each with its line end.
    func respond(
        _ body: String = "", status: String = "200 OK", type: String = "application/json", fields: String = ""
    ) {
        peer.write(
            "HTTP/1.1 \(status)\r\nContent-Type: \(type)\r\n\(fields)Content-Length: \(body.utf8.count)\r\n\r\n\(body)")
    }
}
