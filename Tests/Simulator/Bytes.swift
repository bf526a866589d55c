extension [UInt8] {
    func find(_ text: StaticString, from start: Int = 0) -> Int? {
        let size = text.utf8CodeUnitCount
        guard count - start >= size else { return nil }
        return withUnsafeBufferPointer { bytes -> Int? in
            let first = text.utf8Start[0]
            var place = start
            while place <= bytes.count - size {
                if bytes[place] == first {
                    var length = 1
                    while length < size, bytes[place + length] == text.utf8Start[length] { length += 1 }
                    if length == size { return place }
                }
                place += 1
            }
            return nil
        }
    }

    func contains(_ text: StaticString) -> Bool { find(text) != nil }
}

extension String {
    /// An ASCII character so many times.
    init(_ character: Unicode.Scalar, times count: Int) {
        self.init(unsafeUninitializedCapacity: count) { bytes in
            bytes.prefix(count).initialize(repeating: UInt8(ascii: character))
            return count
        }
    }
}
