import Legacy
import MCP

/// Which of its client's streams each message of a server belongs on, in one session of an older client: without I/O.
///
/// A response goes to the stream of its request, and progress to the stream of its token. Of anything else a process does not say
/// what it is about: it goes to the only request that is being answered, where there is just one (2025-11-25, basic/transports,
/// "Sending Messages to the Server"); else to the stream that the client listens on, to the youngest of the others, or into a
/// bounded queue until there is one.
struct OlderRouting {
    /// An answer that is an event stream, or may become one.
    typealias Stream = Int

    /// A request of a client, as far as its answer has to be known.
    struct Request {
        let id: MessageID
        /// The id as it is spelled.
        let rawID: [UInt8]
        let progressToken: MessageID?
    }

    enum Step: Equatable {
        case send([UInt8], on: Stream)
        /// The last message on the stream.
        case finish([UInt8], on: Stream)
        /// The client listens on enough others.
        case end(Stream)
        /// Answers a request of the server, by its id as it is spelled: no client can be asked.
        case refuse([UInt8])
    }

    /// Streams on which a client may listen at once. One is enough; a second is there while the first is not known to be
    /// broken.
    static let maxListening = 4

    private struct Kept {
        let text: [UInt8]
        /// Of a request.
        let rawID: [UInt8]?
    }

    private let maxKept: Int
    private let maxKeptBytes: Int
    /// Requests of each POST that have no response yet.
    private var posts: [Stream: [Request]] = [:]
    private var owners: [MessageID: Stream] = [:]
    private var tokens: [MessageID: Stream] = [:]
    /// Ids of requests that their clients have left. The response may still come, and answers no other request.
    private var abandoned: Set<MessageID> = []
    /// A server that never answers them has the client's mistakes with ids from then on.
    private static let maxAbandoned = 1024
    /// Streams of POSTs, the youngest last.
    private var order: [Stream] = []
    /// Streams of GETs, the youngest last.
    private var listening: [Stream] = []
    private var kept: [Kept] = []
    private var keptBytes = 0
    private var lastStream = 0

    /// - Parameters:
    ///   - maxKept: messages that wait for a stream.
    ///   - maxKeptBytes: of these, together.
    init(maxKept: Int, maxKeptBytes: Int) {
        self.maxKept = maxKept
        self.maxKeptBytes = maxKeptBytes
    }

    /// Whether the client has no stream open.
    var isQuiet: Bool { posts.isEmpty && listening.isEmpty }

    /// Whether a request waits for its response.
    var isAnswering: Bool { !posts.isEmpty }

    // MARK: Streams

    /// Requests of a POST are to be answered. Nil, where one has the id of a request that is being answered, or whose
    /// response may still come.
    mutating func openResponse(_ requests: [Request]) -> (stream: Stream, steps: [Step])? {
        guard Set(requests.map(\.id)).count == requests.count,
            requests.allSatisfy({ owners[$0.id] == nil && !abandoned.contains($0.id) })
        else {
            return nil
        }
        lastStream += 1
        posts[lastStream] = requests
        order.append(lastStream)
        for request in requests {
            owners[request.id] = lastStream
            if let token = request.progressToken { tokens[token] = lastStream }
        }
        return (lastStream, releaseKept(to: lastStream))
    }

    /// The client listens on a stream of its own.
    mutating func openListening() -> (stream: Stream, steps: [Step]) {
        lastStream += 1
        listening.append(lastStream)
        var steps: [Step] = []
        if listening.count > OlderRouting.maxListening { steps.append(.end(listening.removeFirst())) }
        return (lastStream, steps + releaseKept(to: lastStream))
    }

    /// A stream is over. What still comes for its requests is dropped.
    ///
    /// - Returns: its requests that have no response.
    @discardableResult
    mutating func closeStream(_ stream: Stream) -> [Request] {
        listening.removeAll { $0 == stream }
        guard let requests = posts.removeValue(forKey: stream) else { return [] }
        order.removeAll { $0 == stream }
        for request in requests {
            forgetRequest(request)
            if abandoned.count >= OlderRouting.maxAbandoned { abandoned = [] }
            abandoned.insert(request.id)
        }
        return requests
    }

    private mutating func forgetRequest(_ request: Request) {
        owners[request.id] = nil
        if let token = request.progressToken { tokens[token] = nil }
    }

    /// Whether it is a stream of responses.
    func isPost(_ stream: Stream) -> Bool { posts[stream] != nil }

    /// The stream on which a request is answered, if it answers no other request.
    func onlyStream(ofOnly request: MessageID) -> Stream? {
        owners[request].flatMap { posts[$0]?.count == 1 ? $0 : nil }
    }

    // MARK: Messages of the server

    mutating func routeMessage(_ message: CarriedMessage) -> [Step] {
        switch message.kind {
        case .response(let id):
            return id.map { routeResponse(message.text, to: $0) } ?? []
        case .notification where message.isProgress:
            guard let token = message.progressToken, let stream = tokens[token] ?? tokens[token.misspelled] else {
                return []
            }
            return [.send(message.text, on: stream)]
        case .notification, .request:
            guard let stream = order.count == 1 ? order.first : listening.last ?? order.last else {
                return keepNotification(Kept(text: message.text, rawID: message.rawID))
            }
            return [.send(message.text, on: stream)]
        }
    }

    private mutating func routeResponse(_ text: [UInt8], to id: MessageID) -> [Step] {
        let known = owners[id] == nil ? id.misspelled : id
        guard let stream = owners[known], var requests = posts[stream],
            let index = requests.firstIndex(where: { $0.id == known })
        else {
            if abandoned.remove(id) == nil { abandoned.remove(id.misspelled) }
            return []
        }
        forgetRequest(requests.remove(at: index))
        posts[stream] = requests
        guard requests.isEmpty else { return [.send(text, on: stream)] }
        closeStream(stream)
        return [.finish(text, on: stream)]
    }

    // MARK: Messages that wait for a stream

    private mutating func releaseKept(to stream: Stream) -> [Step] {
        defer { (kept, keptBytes) = ([], 0) }
        return kept.map { .send($0.text, on: stream) }
    }

    /// Notifications make room first, the oldest of them; a request that does is answered.
    private mutating func keepNotification(_ message: Kept) -> [Step] {
        kept.append(message)
        keptBytes += message.text.count
        var steps: [Step] = []
        while kept.count > maxKept || keptBytes > maxKeptBytes {
            let oldest = kept.remove(at: kept.firstIndex { $0.rawID == nil } ?? 0)
            keptBytes -= oldest.text.count
            if let rawID = oldest.rawID { steps.append(.refuse(rawID)) }
        }
        return steps
    }
}
