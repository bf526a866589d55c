import Store

@testable import Gateway

/// A store of a test, as far as shared sessions go, with a clock that is moved by hand.
final class FakeStore: StoreConnection {
    private struct Entry {
        var value: [UInt8]
        var end: Int
    }

    /// Milliseconds.
    var now = 0
    /// Why it does not answer; nil: it does.
    var failure: StoreFailure?
    /// What it answers in place of what is there.
    var lie: StoreReply?
    weak var user: (any StoreUser)?
    let counts = StoreCounts()
    private var values: [[UInt8]: Entry] = [:]
    /// Members of sorted sets, and until when they count.
    private var sets: [[UInt8]: [[UInt8]: Int]] = [:]

    func startConnecting() {}

    func closeStore() { failure = .unreachable("closed") }

    func runCommands(_ commands: [StoreCommand]) async throws(StoreFailure) -> [StoreReply] {
        if let failure { throw failure }
        return commands.map { command in lie ?? run(command.arguments) }
    }

    func empty() { (values, sets) = ([:], [:]) }

    /// The names of what there is, up to their second colon.
    var kinds: [String] {
        values.filter { $0.value.end > now }.keys.map { String(decoding: $0, as: UTF8.self) }
            .map { $0.split(separator: ":").prefix(2).joined(separator: ":") }.sorted()
    }

    func setSession(_ text: [UInt8]) {
        for key in values.keys where key.starts(with: Array("t:session:".utf8)) { values[key]?.value = text }
    }

    private func value(_ key: [UInt8]) -> [UInt8]? { values[key].flatMap { $0.end > now ? $0.value : nil } }

    private func run(_ words: [[UInt8]]) -> StoreReply {
        if words[0] == Array("GET".utf8) { return value(words[1]).map { .text($0) } ?? .nothing }
        let script = String(decoding: words[1], as: UTF8.self)
        let count = number(words[2])
        let (keys, arguments) = (Array(words[3..<3 + count]), Array(words[(3 + count)...]))
        if script.contains("ZREM'") { return leave(keys, arguments) }
        if script.contains("ZADD") {
            sets[keys[0], default: [:]][arguments[0]] = now + number(arguments[1])
            return .integer(1)
        }
        if let found = value(keys[0]), found != arguments[0], found != arguments[1] { return .text(found) }
        values[keys[0]] = Entry(value: arguments[1], end: now + number(arguments[2]))
        return .text(arguments[1])
    }

    private func leave(_ keys: [[UInt8]], _ arguments: [[UInt8]]) -> StoreReply {
        sets[keys[1]]?[arguments[0]] = nil
        if value(keys[2]) == arguments[0] { values[keys[2]] = nil }
        guard arguments[2] == Array("end".utf8), value(keys[0]) == arguments[1],
            sets[keys[1]]?.values.contains(where: { $0 > now }) != true
        else { return .integer(0) }
        values[keys[0]] = nil
        return .integer(1)
    }

    private func number(_ text: [UInt8]) -> Int { Int(String(decoding: text, as: UTF8.self)) ?? 0 }
}
