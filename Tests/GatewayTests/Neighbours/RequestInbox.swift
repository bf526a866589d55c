import Reactor
import TestSupport

/// Puts requests together from what comes on connections, and has each answered.
final class RequestInbox {
    private(set) var requests: [ReceivedRequest] = []
    /// Called with each request that has come.
    var respond: (ReceivedRequest) -> Void
    private let loop: Loop
    private let changed = Wakeup()
    private var pending: [ObjectIdentifier: [UInt8]] = [:]

    init(on loop: Loop, respond: @escaping (ReceivedRequest) -> Void) {
        self.loop = loop
        self.respond = respond
    }

    /// Reads the requests of a connection.
    func watch(_ peer: Peer) { peer.onReceive = { [weak self] in self?.read($1, from: $0) } }

    private func read(_ part: [UInt8], from peer: Peer) {
        pending[ObjectIdentifier(peer), default: []] += part
        while let request = next(from: peer) {
            requests.append(request)
            changed.signal()
            respond(request)
        }
    }

    private func next(from peer: Peer) -> ReceivedRequest? {
        let bytes = pending[ObjectIdentifier(peer)] ?? []
        let end = Array("\r\n\r\n".utf8)
        guard let headEnd = bytes.indices.first(where: { bytes[$0...].starts(with: end) }) else { return nil }
        let head = String(decoding: bytes[..<headEnd], as: UTF8.self)
        let size = ReceivedRequest(peer: peer, head: head, body: "").field("content-length").flatMap { Int($0) } ?? 0
        let rest = bytes[(headEnd + end.count)...]
        guard rest.count >= size else { return nil }
        pending[ObjectIdentifier(peer)] = Array(rest.dropFirst(size))
        return ReceivedRequest(peer: peer, head: head, body: String(decoding: rest.prefix(size), as: UTF8.self))
    }

    /// The request with this number, as soon as it has come.
    func request(_ number: Int) async throws -> ReceivedRequest {
        try await eventually("request \(number) after \(requests.map(\.startLine))", on: loop, changed) {
            requests.count > number
        }
        return requests[number]
    }

    /// The requests for which it holds, as soon as there are so many of them.
    func requests(
        _ what: String, count: Int = 1, where isIt: (ReceivedRequest) -> Bool
    ) async throws -> [ReceivedRequest] {
        try await eventually("\(count) \(what) among \(requests.map(\.startLine))", on: loop, changed) {
            requests.count(where: isIt) >= count
        }
        return requests.filter(isIt)
    }
}
