import Glibc

/// A connection of a caller that breaks every rule, for a short while.
final class Hostile: Link {
    private let field: Field
    private let principal: Int
    private var reader = ResponseReader()
    private var calls: [Call] = []
    /// Whether what comes can still be told apart.
    private var isReadable = true
    private var isSlow = false
    private let onEnd: () -> Void

    /// As the rest of a chunked body: the end of a chunk, the last one, and a trailer.
    private static let end = [UInt8](text: "\r\n0\r\na:\r\n\r\n")
    /// As the rest of a chunked body: the end of a chunk, and the beginning of one that ends in `echo`.
    private static let opening = [UInt8](text: "\r\n12\r\naaaaa")
    /// What a server repeats: the end of an answer, and another answer, to any next request.
    static let echo: [[UInt8]] = {
        let events = (1...1000).map {
            #"data: {"jsonrpc":"2.0","id":\#($0),"result":{"content":[{"type":"text","text":"A LIE"}]}}"# + "\n\n"
        }
        let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"
        // With the head of its chunk, which has five digits, as long as `opening` says.
        return [[UInt8](text: "xxxx\r\n0\r\n\r\n"), [UInt8](text: head + events.joined())]
    }()
    static let readAhead = 64 * 1024

    init(_ descriptor: Int32, in field: Field, principal: Int, onEnd: @escaping () -> Void) {
        self.field = field
        self.principal = principal
        self.onEnd = onEnd
        super.init(descriptor, on: field.poller)
    }

    override var readSize: Int { isSlow ? 500 : 64 * 1024 }

    private var lie: [UInt8] {
        let body =
            #"{"jsonrpc":"2.0","id":\#(field.chance.number(1...50)),"result":{"content":[{"type":"text","text":"A LIE"}]}}"#
        return [UInt8](
            text:
                "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: \(body.utf8.count)\r\n\r\n\(body)"
        )
    }

    func go() {
        field.counts.attacked()
        switch field.chance.number(0...9) {
        case 0...3: forge()
        case 4: leave(after: call(.later), by: .reset)
        case 5: leave(after: call(field.chance.happens(500) ? .never : .interleaved), by: .close)
        case 6:
            // Says that it sends no more, and reads.
            write(call(.piecewise))
            shutdownWriting()
            endLater(100)
        case 7: readSlowly()
        case 8: speakSlowly()
        default: talkNonsense()
        }
    }

    private func call(_ plan: Plan) -> [UInt8] {
        let call = field.call(of: principal, plan)
        calls.append(call)
        return call.request(to: field.host)
    }

    /// Has ready, behind a call whose answer does not end at once, what looks like the rest of that answer and another one.
    private func forge() {
        let head = Call.head(to: field.host, credential: "Bearer principal-\(principal)", length: 1 << 22)
        var behind = head
        behind += [UInt8](repeating: 0x78, count: max(0, Hostile.readAhead - head.count))
        let kind = field.chance.number(0...5)
        write(call(kind > 3 ? .echo : .later) + behind)
        let lie = lie
        var forged: [UInt8] = []
        let shift = field.chance.number(0...10)
        // One packet that fills the place of what the server sends, or many.
        let size = field.chance.happens(800) ? 16_000 : field.chance.number(60_000...900_000)
        while forged.count < size {
            switch kind {
            case 0, 1: forged += Hostile.end
            case 2: forged += lie
            case 4, 5: forged += Hostile.opening
            default: forged += [UInt8](text: "\r\n0\r\n\r\n") + lie
            }
        }
        forged.removeFirst(shift)
        poller.after(field.chance.number(5...40)) { [self] in write(forged) }
        endLater(150)
    }

    private enum Way { case reset, close }

    private func leave(after data: [UInt8], by way: Way) {
        let cut = field.chance.happens(300) ? field.chance.number(1...data.count) : data.count
        write(Array(data[..<cut]))
        poller.after(field.chance.number(0...80)) { [self] in
            if way == .reset { reset() } else { close() }
            finish()
        }
    }

    private func readSlowly() {
        isSlow = true
        write(call(.large) + call(.large) + call(.events))
        pauseReading()
        var looks = 0
        func look() {
            guard isOpen else { return }
            looks += 1
            read()
            if looks < 60 { poller.after(5, look) } else { endLater(0) }
        }
        look()
    }

    private func speakSlowly() {
        let data = call(.json)
        var position = 0
        func speak() {
            guard isOpen else { return }
            let end = min(data.count, position + field.chance.number(1...60))
            write(Array(data[position..<end]))
            position = end
            if position < data.count { poller.after(2, speak) } else { endLater(60) }
        }
        speak()
    }

    private func talkNonsense() {
        var data = call(.json)
        if field.chance.happens(500) { data += lie + lie }
        for _ in 0..<field.chance.number(0...3000) { data.append(UInt8(field.chance.number(0...255))) }
        isReadable = false
        write(data)
        endLater(60)
    }

    private func endLater(_ milliseconds: Int) {
        poller.after(milliseconds) { [self] in
            if field.chance.happens(500) { reset() } else { close() }
            finish()
        }
    }

    private var isFinished = false

    private func finish() {
        guard !isFinished else { return }
        isFinished = true
        onEnd()
    }

    override func received(_ bytes: UnsafeRawBufferPointer) {
        reader.append(bytes)
        // What is no HTTP after its own nonsense tells nothing.
        while let response = try? reader.next() {
            guard !calls.isEmpty else { return }
            let call = calls.removeFirst()
            if isReadable { field.counts.heard(call, call.judge(response)) }
        }
    }

    override func ended() { finish() }
}
