/// A connection of a caller that keeps to the rules; it has another when it loses this one.
final class Honest: Link {
    private let field: Field
    private let principal: Int
    private var reader = ResponseReader()
    private var waiting: [Call] = []
    private var since: UInt64

    init(_ descriptor: Int32, in field: Field, principal: Int) {
        self.field = field
        self.principal = principal
        since = field.poller.now
        super.init(descriptor, on: field.poller)
    }

    /// One call, or a few in a row.
    func go() {
        guard isOpen, waiting.isEmpty else { return }
        since = poller.now
        var data: [UInt8] = []
        for _ in 0..<(field.chance.happens(50) ? field.chance.number(2...5) : 1) {
            let call = field.call(of: principal, Plan.honest(&field.chance))
            waiting.append(call)
            data += call.request(to: field.host)
        }
        write(data)
    }

    override func received(_ bytes: UnsafeRawBufferPointer) {
        reader.append(bytes)
        do throws(ResponseReader.Malformed) {
            while let response = try reader.next() {
                guard !waiting.isEmpty else { return lose("an answer to nothing") }
                let call = waiting.removeFirst()
                field.counts.count(call, call.judge(response))
                since = poller.now
                if response.closes { return lose("closed") }
            }
        } catch {
            return lose("not HTTP: \(error.what)")
        }
        go()
    }

    override func ended() { lose("closed") }

    /// Milliseconds. An answer may come in forty pieces, each in a turn of the server of its own, and on a busy machine a turn can take
    /// half a second.
    private static let patience: UInt64 = 60_000

    /// What has waited for too long has no answer.
    func look() {
        if isOpen, !waiting.isEmpty, poller.now > since + Honest.patience { lose("silence") }
    }

    private func lose(_ why: String) {
        for call in waiting { field.counts.failed(call, why) }
        waiting = []
        close()
        field.replace(self, principal: principal)
    }
}
