/// Makes answers of the bytes of a connection, strictly.
struct ResponseReader {
    struct Malformed: Error { let what: String }

    private enum Part {
        case head
        case length(Int)
        case chunkSize
        case chunk(Int)
        case chunkEnd
        case trailer
    }

    private var input: [UInt8] = []
    private var position = 0
    private var part = Part.head
    private var response = Response()

    /// Whether nothing of an answer is there.
    var isEmpty: Bool { position == input.count && { if case .head = part { true } else { false } }() }

    mutating func append(_ bytes: UnsafeRawBufferPointer) {
        if position == input.count {
            input.removeAll(keepingCapacity: true)
            position = 0
        } else if position > 1 << 16 {
            input.removeFirst(position)
            position = 0
        }
        input.append(contentsOf: bytes)
    }

    /// The next answer, if it is whole.
    mutating func next() throws(Malformed) -> Response? {
        while true {
            switch part {
            case .head:
                guard let end = input.find("\r\n\r\n", from: position) else { return nil }
                let head = String(decoding: input[position..<end], as: UTF8.self).lowercased()
                position = end + 4
                try begin(head)
                if response.status < 200 { part = .head }
            case .length(let rest):
                let count = take(rest)
                part = .length(rest - count)
                if rest > count { return nil }
                return finish()
            case .chunkSize:
                guard let line = try line() else { return nil }
                guard let size = Int(line, radix: 16) else { throw Malformed(what: "chunk size \(line)") }
                part = size == 0 ? .trailer : .chunk(size)
            case .chunk(let rest):
                let count = take(rest)
                part = rest > count ? .chunk(rest - count) : .chunkEnd
                if rest > count { return nil }
            case .chunkEnd:
                guard let line = try line() else { return nil }
                guard line.isEmpty else { throw Malformed(what: "the end of a chunk is \(line)") }
                part = .chunkSize
            case .trailer:
                guard let line = try line() else { return nil }
                guard line.isEmpty else { throw Malformed(what: "a trailer \(line)") }
                return finish()
            }
        }
    }

    private mutating func finish() -> Response {
        part = .head
        return response
    }

    private mutating func take(_ most: Int) -> Int {
        let count = min(most, input.count - position)
        response.body += input[position..<position + count]
        position += count
        return count
    }

    private mutating func line() throws(Malformed) -> String? {
        guard let end = input.find("\r\n", from: position) else {
            if input.count - position > 1000 { throw Malformed(what: "a line without an end") }
            return nil
        }
        defer { position = end + 2 }
        return String(decoding: input[position..<end], as: UTF8.self)
    }

    private mutating func begin(_ head: String) throws(Malformed) {
        let lines = head.split(separator: "\r\n", omittingEmptySubsequences: false)
        let words = lines[0].split(separator: " ")
        guard words.count >= 2, words[0] == "http/1.1", let status = Int(words[1]) else {
            throw Malformed(what: "start line \(lines[0])")
        }
        response = Response(status: status)
        part = .length(0)
        for line in lines.dropFirst() {
            guard let colon = line.firstIndex(of: ":") else { throw Malformed(what: "field \(line)") }
            let value = line[line.index(after: colon)...].drop { $0 == " " }
            switch line[..<colon] {
            case "content-length":
                guard let length = Int(value) else { throw Malformed(what: "length \(value)") }
                part = .length(length)
                response.body.reserveCapacity(length)
            case "transfer-encoding": part = .chunkSize
            case "connection": response.closes = value == "close"
            default: break
            }
        }
    }
}
