/// One line of the log while it is written: names are ours, values are escaped.
package struct LogLine {
    package enum Format: Sendable {
        /// `{"ts":"…","level":"info","event":"request",…}`
        case json
        /// `… info request name=value …`
        case text
    }

    /// Unicode scalars of one value. A longer one is cut: no client decides how long a line gets. Not characters, of
    /// which one can have any number of marks.
    private static let maxValue = 256

    private let format: Format
    private(set) var bytes: [UInt8] = []

    init(_ format: Format, level: LogLevel, event: StaticString, time: [UInt8]) {
        self.format = format
        bytes.reserveCapacity(512)
        switch format {
        case .json:
            put(#"{"ts":""#)
            bytes.append(contentsOf: time)
            put("\"")
            field("level", level.name)
            field("event", event)
        case .text:
            bytes.append(contentsOf: time)
            put(" ", level.name, " ")
            put(event)
        }
    }

    /// A value of ours.
    package mutating func field(_ name: StaticString, _ value: StaticString) {
        begin(name)
        put("\"", value, "\"")
    }

    package mutating func field(_ name: StaticString, _ value: Int) {
        begin(name)
        put(decimal: value)
    }

    /// Milliseconds with three decimals.
    package mutating func field(_ name: StaticString, milliseconds value: Duration) {
        begin(name)
        let (seconds, attoseconds) = value.components
        let micros = Int(seconds * 1_000_000 + attoseconds / 1_000_000_000_000)
        put(decimal: micros / 1000)
        let rest = micros % 1000
        bytes.append(UInt8(ascii: "."))
        bytes.append(UInt8(ascii: "0") + UInt8(rest / 100))
        bytes.append(UInt8(ascii: "0") + UInt8(rest / 10 % 10))
        bytes.append(UInt8(ascii: "0") + UInt8(rest % 10))
    }

    /// A value from elsewhere: escaped and cut.
    package mutating func field(_ name: StaticString, _ value: String) {
        begin(name)
        put("\"")
        for scalar in value.unicodeScalars.prefix(LogLine.maxValue) { put(escaping: scalar) }
        put("\"")
    }

    mutating func end() { put(format == .json ? "}\n" : "\n") }

    private mutating func begin(_ name: StaticString) {
        switch format {
        case .json: put(",\"", name, "\":")
        case .text: put(" ", name, "=")
        }
    }

    private mutating func put(_ text: StaticString) {
        text.withUTF8Buffer { unsafe bytes.append(contentsOf: $0) }
    }

    /// Three texts with one look at the capacity: half of what a line costs is such looks.
    private mutating func put(_ first: StaticString, _ second: StaticString, _ third: StaticString) {
        let count = first.utf8CodeUnitCount + second.utf8CodeUnitCount + third.utf8CodeUnitCount
        bytes.append(addingCapacity: count) { output in
            for index in 0..<first.utf8CodeUnitCount { unsafe output.append(first.utf8Start[index]) }
            for index in 0..<second.utf8CodeUnitCount { unsafe output.append(second.utf8Start[index]) }
            for index in 0..<third.utf8CodeUnitCount { unsafe output.append(third.utf8Start[index]) }
        }
    }

    private mutating func put(decimal value: Int) {
        guard value >= 0 else { return bytes.append(contentsOf: String(value).utf8) }
        let first = bytes.count
        var rest = value
        repeat {
            bytes.append(UInt8(ascii: "0") + UInt8(rest % 10))
            rest /= 10
        } while rest > 0
        bytes[first...].reverse()
    }

    private mutating func put(escaping scalar: Unicode.Scalar) {
        switch scalar {
        case "\"", "\\":
            bytes.append(UInt8(ascii: "\\"))
            bytes.append(UInt8(ascii: scalar))
        case "\0"..."\u{1F}", "\u{7F}"..."\u{9F}", "\u{2028}", "\u{2029}":
            // A line of the log stays one line, and does nothing to a terminal, whatever a client sends.
            let digits: StaticString = "0123456789abcdef"
            put("\\u")
            for shift in [12, 8, 4, 0] as [UInt32] {
                bytes.append(unsafe digits.utf8Start[Int(scalar.value >> shift & 15)])
            }
        default:
            bytes.append(contentsOf: UTF8.encode(scalar) ?? UTF8.encodedReplacementCharacter)
        }
    }
}
