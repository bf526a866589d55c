import CEpoll

extension [UInt8] {
    init(text: String) { self = Array(text.utf8) }

    /// Where `needle` first is.
    func find(_ needle: StaticString, from start: Int = 0) -> Int? {
        guard start <= count else { return nil }
        return withUnsafeBytes { all -> Int? in
            guard let base = all.baseAddress,
                let found = crossing_find(base + start, all.count - start, needle.utf8Start, needle.utf8CodeUnitCount)
            else { return nil }
            return UnsafeRawPointer(found) - base
        }
    }

    func contains(_ needle: String) -> Bool {
        withUnsafeBytes { all in
            var needle = needle
            return needle.withUTF8 { crossing_find(all.baseAddress, all.count, $0.baseAddress, $0.count) != nil }
        }
    }

    /// The text between `start` and the next byte `end`.
    func text(after start: StaticString, until end: UInt8, from: Int = 0) -> String? {
        guard let found = find(start, from: from).map({ $0 + start.utf8CodeUnitCount }),
            let close = self[found...].firstIndex(of: end)
        else { return nil }
        return String(decoding: self[found..<close], as: UTF8.self)
    }
}
