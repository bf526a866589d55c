/// How many calls of a session wait for their answers, and which where there is one.
struct CallsInFlight {
    private(set) var count = 0
    /// One of them, if it was the first: each call begins and ends here, and a table of all would cost it more than this.
    private var first: LegacyCall?

    mutating func insert(_ call: LegacyCall) {
        count += 1
        if first == nil { first = call }
    }

    mutating func remove(_ call: LegacyCall) {
        count -= 1
        if first === call { first = nil }
    }

    /// The only one; nil where there are several, and where it began beside another that has ended.
    var only: LegacyCall? { count == 1 ? first : nil }
}
