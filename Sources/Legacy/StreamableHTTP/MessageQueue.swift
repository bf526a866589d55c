/// Messages that wait for their reader: nearly always one, which takes no array.
struct MessageQueue {
    private var first: [UInt8]?
    private var rest: ArraySlice<[UInt8]> = []

    var isEmpty: Bool { first == nil }

    mutating func append(_ message: [UInt8]) {
        if first == nil { first = message } else { rest.append(message) }
    }

    mutating func popFirst() -> [UInt8]? {
        guard let message = first.take() else { return nil }
        if !rest.isEmpty { first = rest.removeFirst() }
        return message
    }
}
