/// Reads HTTP/1.1 as RFC 9112 has it, and takes nothing that is not right. It shares no line with the product.
struct HTTPReader {
    struct Malformed: Error { let what: String }

    struct Head {
        var start: String
        var fields: [(name: String, value: String)] = []

        subscript(_ name: String) -> String? { fields.first { $0.name == name }?.value }

        /// Of a response.
        var status: Int {
            let parts = start.split(separator: " ", maxSplits: 2)
            return parts.count > 1 ? Int(parts[1]) ?? 0 : 0
        }

        /// Of a request.
        var method: String { String(start.prefix { $0 != " " }) }

        /// Of a request: what its target has behind a name.
        func query(_ name: String) -> String? {
            let parts = start.split(separator: " ")
            guard parts.count > 1, let query = parts[1].split(separator: "?").dropFirst().first else { return nil }
            let found = query.split(separator: "&").first { $0.hasPrefix("\(name)=") }
            return found.map { String($0.dropFirst(name.count + 1)) }
        }
    }

    enum Part {
        case head(Head)
        case body([UInt8])
        case end
    }

    private enum State {
        case head
        case counted(Int)
        case size
        case chunk(Int)
        case chunkEnd
        case trailer
        case untilClose
        case ended
    }

    private let isOfRequests: Bool
    private var input: [UInt8] = []
    private var start = 0
    private var state = State.head

    init(ofRequests isOfRequests: Bool) { self.isOfRequests = isOfRequests }

    /// Whether it is between two messages, with nothing left over.
    var isIdle: Bool { if case .head = state { start == input.count } else { false } }

    mutating func append(_ bytes: [UInt8]) {
        if start > 0 {
            input.removeFirst(start)
            start = 0
        }
        input += bytes
    }

    /// The other side sends no more. Whether that is the end of a message, or between two.
    mutating func finish() -> Bool {
        switch state {
        case .untilClose:
            state = .ended
            return true
        case .head: return start == input.count
        default: return false
        }
    }

    mutating func next() throws(Malformed) -> Part? {
        while true {
            switch state {
            case .head:
                guard let end = input.find("\r\n\r\n", from: start) else {
                    if input.count - start > 256 << 10 { throw Malformed(what: "a head without end") }
                    return nil
                }
                let head = try HTTPReader.head(input[start..<end])
                start = end + 4
                try begin(head)
                return .head(head)
            case .counted(0), .ended:
                state = .head
                return .end
            case .counted(let rest):
                guard let part = take(rest) else { return nil }
                state = .counted(rest - part.count)
                return .body(part)
            case .untilClose:
                guard let part = take(.max) else { return nil }
                return .body(part)
            case .size:
                guard let end = input.find("\r\n", from: start) else {
                    if input.count - start > 1000 { throw Malformed(what: "a chunk without size") }
                    return nil
                }
                let text = String(decoding: input[start..<end], as: UTF8.self)
                guard let size = Int(text, radix: 16), size >= 0 else { throw Malformed(what: "chunk size \(text)") }
                start = end + 2
                state = size == 0 ? .trailer : .chunk(size)
            case .chunk(0): state = .chunkEnd
            case .chunk(let rest):
                guard let part = take(rest) else { return nil }
                state = .chunk(rest - part.count)
                return .body(part)
            case .chunkEnd:
                guard input.count - start >= 2 else { return nil }
                guard input[start] == 13, input[start + 1] == 10 else {
                    throw Malformed(what: "a chunk that is longer")
                }
                start += 2
                state = .size
            case .trailer:
                guard let end = input.find("\r\n", from: start) else { return nil }
                guard end == start else { throw Malformed(what: "trailers") }
                start += 2
                state = .head
                return .end
            }
        }
    }

    private mutating func take(_ most: Int) -> [UInt8]? {
        let count = min(most, input.count - start)
        if count == 0 { return nil }
        defer { start += count }
        return Array(input[start..<(start + count)])
    }

    private static func head(_ bytes: ArraySlice<UInt8>) throws(Malformed) -> Head {
        var lines: [String] = []
        var from = bytes.startIndex
        let all = Array(bytes)
        var position = 0
        while let end = all.find("\r\n", from: position) {
            lines.append(String(decoding: all[position..<end], as: UTF8.self))
            position = end + 2
        }
        lines.append(String(decoding: all[position...], as: UTF8.self))
        from = bytes.endIndex
        _ = from
        var head = Head(start: lines[0])
        for line in lines.dropFirst() {
            guard let colon = line.utf8.firstIndex(of: 0x3A) else {
                throw Malformed(what: "a field without colon: \(line)")
            }
            let value = line[line.utf8.index(after: colon)...].drop { $0 == " " }
            head.fields.append((line[..<colon].lowercased(), String(value)))
        }
        return head
    }

    private mutating func begin(_ head: Head) throws(Malformed) {
        let lengths = head.fields.filter { $0.name == "content-length" }
        let isChunked = head["transfer-encoding"] != nil
        if isChunked, !lengths.isEmpty { throw Malformed(what: "two lengths") }
        if isOfRequests {
            guard head.start.hasSuffix(" HTTP/1.1") else { throw Malformed(what: "no request: \(head.start)") }
        } else {
            guard head.start.hasPrefix("HTTP/1.1 "), (200...599).contains(head.status) else {
                throw Malformed(what: "no response: \(head.start)")
            }
        }
        if isChunked {
            state = .size
        } else if let length = lengths.first {
            guard lengths.count == 1, let count = Int(length.value), count >= 0 else {
                throw Malformed(what: "length \(length.value)")
            }
            state = .counted(count)
        } else if isOfRequests || head.status == 204 {
            state = .counted(0)
        } else {
            state = .untilClose
        }
    }
}

/// Messages of an event stream: their data.
struct EventReader {
    private var line: [UInt8] = []
    private var data: [UInt8] = []
    private var hasData = false
    /// What is told of comments.
    var comments = 0

    mutating func append(_ bytes: [UInt8], _ body: (_ data: [UInt8]) -> Void) {
        var rest = bytes[...]
        while let end = rest.firstIndex(of: 10) {
            line += rest[..<end]
            rest = rest[(end + 1)...]
            if line.isEmpty {
                if hasData { body(data) }
                data = []
                hasData = false
            } else if line.starts(with: Array("data:".utf8)) {
                if hasData { data.append(10) }
                hasData = true
                data += line.dropFirst(line.count > 5 && line[5] == 32 ? 6 : 5)
            } else if line[0] == 0x3A {
                comments += 1
            }
            line = []
        }
        line += rest
    }

    /// Whether it stands between two events.
    var isWhole: Bool { line.isEmpty && !hasData }
}
