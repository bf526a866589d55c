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
        bytes.reserveCapacity(256)
        switch format {
        case .json:
            bytes.append(contentsOf: #"{"ts":""#.utf8)
            bytes.append(contentsOf: time)
            bytes.append(UInt8(ascii: "\""))
            field("level", level.name)
            field("event", event)
        case .text:
            bytes.append(contentsOf: time)
            for word in [level.name, event] {
                bytes.append(UInt8(ascii: " "))
                append(word)
            }
        }
    }

    /// A value of ours.
    package mutating func field(_ name: StaticString, _ value: StaticString) {
        begin(name)
        quote()
        append(value)
        quote()
    }

    package mutating func field(_ name: StaticString, _ value: Int) {
        begin(name)
        append(decimal: value)
    }

    /// Milliseconds with three decimals.
    package mutating func field(_ name: StaticString, milliseconds value: Duration) {
        begin(name)
        let (seconds, attoseconds) = value.components
        let micros = seconds * 1_000_000 + attoseconds / 1_000_000_000_000
        append(decimal: Int(micros / 1000))
        let rest = Int(micros % 1000)
        bytes.append(UInt8(ascii: "."))
        for digit in [rest / 100, rest / 10 % 10, rest % 10] { bytes.append(UInt8(ascii: "0") + UInt8(digit)) }
    }

    /// A value from elsewhere: escaped and cut.
    package mutating func field(_ name: StaticString, _ value: String) {
        begin(name)
        quote()
        for scalar in value.unicodeScalars.prefix(LogLine.maxValue) { append(escaping: scalar) }
        quote()
    }

    mutating func end() {
        if format == .json { bytes.append(UInt8(ascii: "}")) }
        bytes.append(UInt8(ascii: "\n"))
    }

    private mutating func begin(_ name: StaticString) {
        switch format {
        case .json:
            bytes.append(contentsOf: ",\"".utf8)
            append(name)
            bytes.append(contentsOf: "\":".utf8)
        case .text:
            bytes.append(UInt8(ascii: " "))
            append(name)
            bytes.append(UInt8(ascii: "="))
        }
    }

    private mutating func quote() { bytes.append(UInt8(ascii: "\"")) }

    private mutating func append(_ text: StaticString) {
        text.withUTF8Buffer { unsafe bytes.append(contentsOf: $0) }
    }

    private mutating func append(decimal value: Int) {
        if value < 10, value >= 0 {
            bytes.append(UInt8(ascii: "0") + UInt8(value))
        } else {
            bytes.append(contentsOf: String(value).utf8)
        }
    }

    private mutating func append(escaping scalar: Unicode.Scalar) {
        switch scalar {
        case "\"", "\\":
            bytes.append(UInt8(ascii: "\\"))
            bytes.append(UInt8(ascii: scalar))
        case "\0"..."\u{1F}", "\u{7F}"..."\u{9F}", "\u{2028}", "\u{2029}":
            // A line of the log stays one line, and does nothing to a terminal, whatever a client sends.
            let digits = Array("0123456789abcdef".utf8)
            bytes.append(contentsOf: "\\u".utf8)
            for shift in [12, 8, 4, 0] as [UInt32] { bytes.append(digits[Int(scalar.value >> shift & 15)]) }
        default:
            bytes.append(contentsOf: UTF8.encode(scalar) ?? UTF8.encodedReplacementCharacter)
        }
    }
}
