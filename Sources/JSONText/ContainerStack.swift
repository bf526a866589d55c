/// Which containers are open, innermost last: one bit each, so that text of ordinary depth needs no allocation.
struct ContainerStack {
    private(set) var depth = 0
    /// The innermost levels, lowest bit innermost; 1 is an object. Full words move to `outer`.
    private var word: UInt64 = 0
    private var outer: [UInt64] = []

    /// The innermost open container is an object; false when none is open.
    @inline(__always)
    var isInObject: Bool {
        word & 1 == 1
    }

    /// The byte that closes the innermost open container.
    @inline(__always)
    var closing: UInt8 {
        isInObject ? .closeBrace : .closeBracket
    }

    @inline(__always)
    mutating func push(isObject: Bool) {
        if depth != 0, depth % 64 == 0 {
            outer.append(word)
        }
        word = word << 1 | (isObject ? 1 : 0)
        depth += 1
    }

    @inline(__always)
    mutating func pop() {
        depth -= 1
        word >>= 1
        if depth != 0, depth % 64 == 0 {
            word = outer.removeLast()
        }
    }
}
