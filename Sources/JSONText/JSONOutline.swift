/// Where the members of the outer objects are: found in passing while the text is validated, so that a lookup in them
/// needs no second look at the text.
///
/// The entries are in the order of the text, an object's members right after its own entry. Entry 0 is the root value.
/// Only objects that are reached through objects are kept: what is inside an array is not.
struct JSONOutline: Sendable {
    struct Entry: Sendable {
        var name: Range<Int>
        var nameIsEscaped: Bool
        var kind = JSONKind.null
        var value = 0..<0
        /// The members of this object follow; otherwise they have to be looked for in the text.
        var isRecorded = false
        /// The first entry that is not inside this one. While the object is open: the entry of the object around it.
        var next: Int
    }

    /// Beyond this many, the innermost open object is forgotten: a hostile text of tiny members must not cost a
    /// multiple of its own size. The messages of MCP need about ten.
    static let entryLimit = 1024

    private(set) var entries: [Entry] = []
    private let levels: Int

    /// The innermost open object that is recorded, and how deep it is; 0 is outside of the root value.
    private var current = 0
    private var depth = 0
    /// The entry whose value is being read.
    private var latest = 0

    init(levels: Int) {
        self.levels = levels
        entries.reserveCapacity(16)
        entries.append(Entry(name: 0..<0, nameIsEscaped: false, next: 1))
    }

    /// A value starts in a container that is `depth` deep.
    @inline(__always)
    mutating func valueBegins(at position: Int, kind: JSONKind, depth: Int) {
        guard depth == self.depth else { return }
        entries[latest].kind = kind
        entries[latest].value = position..<position
    }

    @inline(__always)
    mutating func valueEnds(at position: Int, depth: Int) {
        guard depth == self.depth else { return }
        entries[latest].value = entries[latest].value.lowerBound..<position
    }

    /// The value that just began in a container that is `depth` deep is an object.
    @inline(__always)
    mutating func objectOpens(depth: Int) {
        guard depth == self.depth, depth < levels else { return }
        entries[latest].isRecorded = true
        entries[latest].next = current
        current = latest
        self.depth += 1
    }

    /// The container that closes is `depth` deep.
    @inline(__always)
    mutating func containerCloses(depth: Int) {
        guard depth == self.depth else { return }
        leave(next: entries.count)
    }

    @inline(__always)
    mutating func member(name: Range<Int>, isEscaped: Bool, depth: Int) {
        guard depth == self.depth else { return }
        add(name: name, isEscaped: isEscaped)
    }

    private mutating func add(name: Range<Int>, isEscaped: Bool) {
        guard entries.count < Self.entryLimit else {
            entries.removeSubrange((current + 1)...)
            entries[current].isRecorded = false
            leave(next: current + 1)
            return
        }
        latest = entries.count
        entries.append(Entry(name: name, nameIsEscaped: isEscaped, next: latest + 1))
    }

    private mutating func leave(next: Int) {
        latest = current
        current = entries[latest].next
        entries[latest].next = next
        depth -= 1
    }

    /// The value of an entry, ready to be handed out.
    func value(_ index: Int) -> JSONValue {
        let entry = entries[index]
        return JSONValue(kind: entry.kind, range: entry.value, record: entry.isRecorded ? index : nil)
    }
}
