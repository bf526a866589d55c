/// Where the members of the outer objects are: found in passing while the text is validated, so that a lookup in them
/// needs no second look at the text.
///
/// The entries are in the order of the text, an object's members right after its own entry. Entry 0 is the root value.
/// Only objects that are reached through objects are kept: what is inside an array is not.
struct JSONOutline: Sendable {
    struct Entry: Sendable {
        var name: TextRange
        var value = TextRange(0..<0)
        /// The first entry that is not inside this one. While the object is open: the entry of the object around it.
        var next: UInt32 = 0
        var nameIsEscaped = false
        var kind = JSONKind.null
        var valueIsEscaped = false
        /// The members of this object follow; otherwise they have to be looked for in the text.
        var isRecorded = false
    }

    /// Beyond this many, the innermost open object is forgotten: a hostile text of tiny members must not cost a
    /// multiple of its own size. The messages of MCP need about ten.
    static let entryLimit = 1024
    /// So many of them are for the level around another one: however large the arguments of a call are, the message and its
    /// params are looked up without a look at the text.
    static let outerReserve = 160

    private(set) var entries: [Entry] = []
    private let levels: Int

    /// The innermost open object that is recorded, and how deep it is; 0 is outside of the root value.
    private var current = 0
    private var depth = 0
    /// Entries that there may be before a member of the innermost open object: all of them in the root value.
    private var limit = entryLimit + outerReserve
    /// What becomes the next entry, once its value has been read or turns out to be an object.
    private var pending = Entry(name: TextRange(0..<0))

    init(levels: Int) {
        self.levels = levels
        entries.reserveCapacity(16)
    }

    // The checks are for the loop of the validator, what they guard is not: most of a text is too deep to be recorded.

    /// A member of the innermost container, which is `depth` deep.
    @inline(__always)
    mutating func recordMember(name: Range<Int>, isEscaped: Bool, depth: Int) {
        guard depth == self.depth else { return }
        if entries.count >= limit {
            forgetCurrent()
        } else {
            pending.name = TextRange(name)
            pending.nameIsEscaped = isEscaped
        }
    }

    /// A string, a number or a literal in a container that is `depth` deep.
    @inline(__always)
    mutating func recordScalar(_ kind: JSONKind, at range: Range<Int>, depth: Int, isEscaped: Bool = false) {
        if depth == self.depth {
            pending.kind = kind
            pending.valueIsEscaped = isEscaped
            addValue(range)
        }
    }

    /// An array or an object starts in a container that is `depth` deep.
    @inline(__always)
    mutating func containerOpens(_ kind: JSONKind, at position: Int, depth: Int) {
        guard depth == self.depth else { return }
        pending.kind = kind
        pending.valueIsEscaped = false
        pending.value = TextRange(position..<position)
        if kind == .object, depth < levels {
            enterContainer()
        }
    }

    /// The container that ends at `position` is `depth` deep.
    @inline(__always)
    mutating func containerCloses(at position: Int, depth: Int) {
        if depth == self.depth {
            leaveContainer(end: position)
        } else if depth - 1 == self.depth {
            addValue(pending.value.range.lowerBound..<position)
        }
    }

    @inline(never)
    private mutating func addValue(_ value: Range<Int>) {
        pending.value = TextRange(value)
        pending.next = UInt32(entries.count + 1)
        entries.append(pending)
    }

    @inline(never)
    private mutating func enterContainer() {
        var entry = pending
        entry.isRecorded = true
        entry.next = UInt32(current)
        current = entries.count
        entries.append(entry)
        depth &+= 1
        limit &-= Self.outerReserve
    }

    @inline(never)
    private mutating func leaveContainer(end: Int) {
        let outer = Int(entries[current].next)
        entries[current].value = TextRange(entries[current].value.range.lowerBound..<end)
        entries[current].next = UInt32(entries.count)
        current = outer
        depth &-= 1
        limit &+= Self.outerReserve
    }

    /// Goes on as if the innermost open object had not been recorded.
    @inline(never)
    private mutating func forgetCurrent() {
        pending = entries[current]
        pending.isRecorded = false
        entries.removeSubrange(current...)
        current = Int(pending.next)
        depth &-= 1
        limit &+= Self.outerReserve
    }

    /// Where the entries of an object's members are, of which `nextEntry` leads from one to the other.
    @inline(__always)
    func memberEntries(of object: JSONValue, at record: Int) -> Range<Int> {
        // The document has looked whose the object is; this is for the one chance in many that its tag told nothing.
        guard record < entries.count, entries[record].value == object.place else { return 0..<0 }
        return record + 1..<Int(entries[record].next)
    }

    /// The entry of the next member, for the entry of one.
    @inline(__always)
    func nextEntry(after index: Int) -> Int {
        Int(entries[index].next)
    }

    /// The member that an entry stands for, ready to be handed out.
    @inline(__always)
    func memberAt(_ index: Int, of document: JSONDocument.Tag) -> JSONMember {
        let entry = entries[index]
        return JSONMember(
            namePlace: entry.name, value: valueAt(index, of: document), nameIsEscaped: entry.nameIsEscaped)
    }

    /// The value of an entry, ready to be handed out.
    @inline(__always)
    func valueAt(_ index: Int, of document: JSONDocument.Tag) -> JSONValue {
        let entry = entries[index]
        return JSONValue(
            kind: entry.kind, place: entry.value, record: entry.isRecorded ? index : nil,
            isEscaped: entry.valueIsEscaped, owner: document)
    }
}
