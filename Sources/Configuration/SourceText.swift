/// The text of a file, to say where in it something is and to show that place.
struct SourceText {
    /// A place, counted from the start of the text.
    enum Location {
        /// By Unicode scalars, as libyaml counts.
        case scalar(Int)
        case byte(Int)
    }

    /// A place as a person reads it.
    struct LineAndColumn: Equatable {
        /// From 1.
        let line: Int
        /// From 1, in characters as an editor counts them: a tab, a letter with its accents, an emoji are one each.
        let column: Int
        /// The line with its number and a caret below the column.
        let excerpt: String
    }

    /// UTF-8, perhaps with faults in it, without a byte order mark.
    let bytes: [UInt8]
    /// Where each line begins; there is always one.
    private let lines: [(byte: Int, scalar: Int)]

    init(_ bytes: [UInt8]) {
        let mark: [UInt8] = [0xEF, 0xBB, 0xBF]
        let text = bytes.starts(with: mark) ? Array(bytes.dropFirst(mark.count)) : bytes
        var lines = [(byte: 0, scalar: 0)]
        var scalars = 0
        for (index, byte) in text.enumerated() {
            // A continuation byte begins no scalar (RFC 3629 §3).
            if byte & 0xC0 != 0x80 { scalars += 1 }
            // LF, CR LF, or a CR alone.
            let isEnd = byte == 0x0A || (byte == 0x0D && (index + 1 == text.count || text[index + 1] != 0x0A))
            if isEnd { lines.append((index + 1, scalars)) }
        }
        self.bytes = text
        self.lines = lines
    }

    /// `location` for a person. One beyond the end is taken for the end.
    func readablePlace(of location: Location) -> LineAndColumn {
        let line = lineIndex(of: location)
        let start = lines[line].byte
        let next = line + 1 < lines.count ? lines[line + 1].byte : bytes.count
        let content = bytes[start..<next]
        let end = content.lastIndex { $0 != 0x0A && $0 != 0x0D }.map { $0 + 1 } ?? start
        var offset: Int
        switch location {
        case .byte(let target):
            offset = min(target, end)
        case .scalar(let target):
            offset = start
            var left = target - lines[line].scalar
            while offset < end, left > 0 || bytes[offset] & 0xC0 == 0x80 {
                if bytes[offset] & 0xC0 != 0x80 { left -= 1 }
                offset += 1
            }
        }
        let before = String(decoding: bytes[start..<offset], as: UTF8.self)
        let after = String(decoding: bytes[offset..<end], as: UTF8.self)
        return LineAndColumn(
            line: line + 1, column: before.count + 1,
            excerpt: Excerpt(line: line + 1, before: before, after: after).description)
    }

    /// The number of the line that `location` is on, from 1.
    func lineNumber(of location: Location) -> Int {
        lineIndex(of: location) + 1
    }

    /// Where the first line begins that has `byte` as its first.
    func firstLine(beginningWith byte: UInt8) -> Location? {
        lines.first { $0.byte < bytes.count && bytes[$0.byte] == byte }.map { .byte($0.byte) }
    }

    private func lineIndex(of location: Location) -> Int {
        var (low, high) = (0, lines.count)
        while high - low > 1 {
            let middle = (low + high) / 2
            let isAfter =
                switch location {
                case .scalar(let target): lines[middle].scalar > target
                case .byte(let target): lines[middle].byte > target
                }
            (low, high) = isAfter ? (low, middle) : (middle, high)
        }
        return low
    }
}
