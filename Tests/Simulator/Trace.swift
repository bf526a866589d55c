/// What happened, in places that are there from the start: to note it moves nothing in memory, so that a run is the same whether
/// it is looked at or not.
struct Trace {
    private struct Entry {
        var time: Int64 = 0
        var what: StaticString = ""
        var numbers: (Int, Int, Int) = (0, 0, 0)
    }

    /// The last ones are kept.
    private static let size = 1 << 14
    private let entries = UnsafeMutablePointer<Entry>.allocate(capacity: size)
    private var count = 0

    init() { entries.initialize(repeating: Entry(), count: Trace.size) }

    mutating func add(_ time: Int64, _ what: StaticString, _ first: Int, _ second: Int, _ third: Int) {
        entries[count % Trace.size] = Entry(time: time, what: what, numbers: (first, second, third))
        count += 1
    }

    /// Each `%` stands for the next number.
    var lines: [String] {
        (max(0, count - Trace.size)..<count).map { place in
            let entry = entries[place % Trace.size]
            var numbers = [entry.numbers.0, entry.numbers.1, entry.numbers.2][...]
            let text = "\(entry.what)".map { $0 == "%" ? String(numbers.popFirst() ?? 0) : String($0) }.joined()
            return "\(String(seconds: entry.time)) \(text)"
        }
    }
}
