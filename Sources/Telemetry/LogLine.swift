/// One line of the log while it is written: names are ours, values are escaped.
///
/// Every call has a line: what it costs is looks at the buffer's capacity, so there is one for each field.
package struct LogLine {
    package enum Format: Sendable {
        /// `{"ts":"…","level":"info","event":"request",…}`
        case json
        /// `… info request name=value …`
        case text
    }

    /// Bytes of one value. A longer one is cut: no client decides how long a line gets.
    private static let maxValue = 256
    /// Bytes that an escaped byte becomes at most.
    private static let maxEscaped = 6
    /// Digits of a number, with its sign.
    private static let maxDigits = 20

    private let format: Format
    private var bytes: [UInt8] = []

    /// Begins a line behind those in `buffer`, whose contents ``end(into:)`` gives back.
    init(
        _ format: Format, level: LogLevel, event: StaticString, time: [UInt8], after buffer: inout [UInt8]
    ) {
        self.format = format
        swap(&bytes, &buffer)
        let names = level.name.utf8CodeUnitCount + event.utf8CodeUnitCount
        bytes.append(addingCapacity: time.count + names + 40) { output in
            switch format {
            case .json:
                output.append(#"{"ts":""#)
                output.append(time.span)
                output.append(#"","level":""#)
                output.append(level.name)
                output.append(#"","event":""#)
                output.append(event)
                output.append("\"")
            case .text:
                output.append(time.span)
                output.append(" ")
                output.append(level.name)
                output.append(" ")
                output.append(event)
            }
        }
    }

    /// A value of ours.
    package mutating func field(_ name: StaticString, _ value: StaticString) {
        appendField(name, valueSize: value.utf8CodeUnitCount + 2) { output in
            output.append(UInt8(ascii: "\""))
            output.append(value)
            output.append(UInt8(ascii: "\""))
        }
    }

    package mutating func field(_ name: StaticString, _ value: Int) {
        appendField(name, valueSize: LogLine.maxDigits) { $0.append(decimal: value) }
    }

    /// Milliseconds with three decimals.
    package mutating func field(_ name: StaticString, milliseconds value: Duration) {
        field(name, millisecondsOf: Int(clamping: value.attoseconds / 1_000_000_000))
    }

    /// Milliseconds with three decimals.
    package mutating func field(_ name: StaticString, millisecondsOf nanoseconds: Int) {
        let micros = nanoseconds / 1000
        appendField(name, valueSize: LogLine.maxDigits + 4) { output in
            output.append(decimal: micros / 1000)
            output.append(UInt8(ascii: "."))
            output.append(threeDigitsOf: (micros % 1000).magnitude)
        }
    }

    /// A value from elsewhere: escaped and cut.
    package mutating func field(_ name: StaticString, _ value: String) { field(name, value, limit: LogLine.maxValue) }

    /// - Parameter limit: bytes of the value, where it may be longer than others.
    package mutating func field(_ name: StaticString, _ value: String, limit: Int) {
        let text = value.utf8.span
        var end = min(text.count, limit)
        // Not within a character of several bytes.
        while end > 0, end < text.count, text[end] & 0xC0 == 0x80 { end -= 1 }
        appendField(name, valueSize: end * LogLine.maxEscaped + 2) { output in
            output.append(UInt8(ascii: "\""))
            output.append(escaping: text, first: end)
            output.append(UInt8(ascii: "\""))
        }
    }

    /// - Parameter buffer: the one that the line was begun with.
    mutating func endLine(into buffer: inout [UInt8]) {
        if format == .json { bytes.append(UInt8(ascii: "}")) }
        bytes.append(UInt8(ascii: "\n"))
        swap(&bytes, &buffer)
    }

    /// Appends what separates a field from the one before, its name, and up to `valueSize` bytes of its value.
    @inline(__always)
    private mutating func appendField(
        _ name: StaticString, valueSize: Int, value: (inout OutputSpan<UInt8>) -> Void
    ) {
        let format = format
        bytes.append(addingCapacity: name.utf8CodeUnitCount + 4 + valueSize) { output in
            switch format {
            // Single bytes: a text is a call of `memcpy`, and there are many fields.
            case .json:
                output.append(UInt8(ascii: ","))
                output.append(UInt8(ascii: "\""))
                output.append(name)
                output.append(UInt8(ascii: "\""))
                output.append(UInt8(ascii: ":"))
            case .text:
                output.append(UInt8(ascii: " "))
                output.append(name)
                output.append(UInt8(ascii: "="))
            }
            value(&output)
        }
    }
}
