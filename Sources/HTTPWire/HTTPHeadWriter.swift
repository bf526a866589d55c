/// Writes the head of a message behind what a buffer holds (RFC 9112 §3, §4, §5).
///
/// ```swift
/// var head = HTTPHeadWriter(status: 200, into: &output)
/// head.field("content-type", "application/json")
/// head.field("content-length", body.count)
/// head.end(into: &output)
/// ```
///
/// The writer takes the buffer's contents and ``end(into:)`` or ``abandonHead(into:)`` gives them back, so nothing is copied.
/// No field can end its line early: a value from elsewhere that has control characters is refused, and one of our own is
/// a constant that a debug build checks.
package struct HTTPHeadWriter: ~Copyable {
    private var bytes: [UInt8] = []
    /// Where in `bytes` the head starts.
    private let start: Int

    /// Begins a response with a status line. `status` is from 100 to 599.
    package init(status: Int, into buffer: inout [UInt8]) {
        // A constant, or the status of a response whose decoder lets no other through.
        precondition(100...599 ~= status, "not a status")
        start = buffer.count
        swap(&bytes, &buffer)
        if status == 200 {
            bytes.append("HTTP/1.1 200 OK\r\n")
        } else {
            bytes.append("HTTP/1.1 ")
            bytes.append(decimal: status)
            bytes.append(" ")
            bytes.append(HTTPReason.reasonPhrase(for: status))
            bytes.append("\r\n")
        }
    }

    /// Begins a request with its request line and `Host`.
    ///
    /// - Parameters:
    ///   - method: Any but ``HTTPMethod/other``, which has no name.
    ///   - target: In origin form: starts with `/`.
    ///   - host: Host with optional port.
    /// - Returns: Nil, and `buffer` as it was, if the method has no name, or the target or the host a character that it cannot
    ///   have.
    package init?(method: HTTPMethod, target: [UInt8], host: [UInt8], into buffer: inout [UInt8]) {
        start = buffer.count
        guard method != .other, target.first == ASCII.slash, target.span.hasOnlyTargetCharacters, host.span.isHost
        else { return nil }
        swap(&bytes, &buffer)
        bytes.append(addingCapacity: method.name.utf8CodeUnitCount + target.count + host.count + 20) { output in
            output.append(method.name)
            output.append(ASCII.space)
            output.append(target.span)
            output.append(" HTTP/1.1\r\nhost: ")
            output.append(host.span)
            output.appendLineEnd()
        }
    }

    /// Goes on with a head that ``interruptHead(into:)`` left: what many heads have in common is then written once.
    package init(continuing common: [UInt8], into buffer: inout [UInt8]) {
        start = buffer.count
        swap(&bytes, &buffer)
        bytes.append(contentsOf: common)
    }

    /// Adds a field of our own.
    package mutating func field(_ name: StaticString, _ value: StaticString) {
        value.withUTF8Buffer { value in
            assert(value.span.isFieldValue, "a control character in a constant")
            appendField(name, value.span)
        }
    }

    /// Adds a field with a number that is not negative, such as a length.
    package mutating func field(_ name: StaticString, _ value: Int) {
        name.withUTF8Buffer { bytes.appendFieldLine($0.span, decimal: value) }
    }

    /// Adds a field with a value that came in a message, and so was checked when it was decoded.
    package mutating func field(_ name: StaticString, _ value: HTTPFieldValue) { appendField(name, value.bytes.span) }

    /// Adds a field as it came in a message.
    package mutating func field(_ name: HTTPFieldValue, _ value: HTTPFieldValue) {
        bytes.appendFieldLine(name.bytes.span, value.bytes.span)
    }

    /// Adds a field with bytes from elsewhere.
    ///
    /// - Returns: False, and no field, if the value has a control character other than HTAB.
    package mutating func field(_ name: StaticString, _ value: [UInt8]) -> Bool { field(name, value[...]) }

    /// Adds a field with bytes from elsewhere.
    ///
    /// - Returns: False, and no field, if the value has a control character other than HTAB.
    package mutating func field(_ name: StaticString, _ value: ArraySlice<UInt8>) -> Bool {
        guard value.span.isFieldValue else { return false }
        appendField(name, value.span)
        return true
    }

    /// Adds a field whose name too comes from elsewhere, such as the configuration.
    ///
    /// - Returns: False, and no field, if the name is no token or the value has a control character other than HTAB.
    package mutating func field(named name: [UInt8], _ value: [UInt8]) -> Bool {
        guard name.span.isToken, value.span.isFieldValue else { return false }
        bytes.appendFieldLine(name.span, value.span)
        return true
    }

    /// Ends the head. `buffer` is the one that the writer was made with.
    package consuming func endHead(into buffer: inout [UInt8]) {
        bytes.append(addingCapacity: 2) { $0.appendLineEnd() }
        giveBackBuffer(to: &buffer)
    }

    /// Leaves the head as it is, without an end. `buffer` is the one that the writer was made with.
    package consuming func interruptHead(into buffer: inout [UInt8]) { giveBackBuffer(to: &buffer) }

    /// Gives the buffer back as it was before the head.
    package consuming func abandonHead(into buffer: inout [UInt8]) {
        bytes.removeSubrange(start...)
        giveBackBuffer(to: &buffer)
    }

    private mutating func appendField(_ name: StaticString, _ value: borrowing Span<UInt8>) {
        name.withUTF8Buffer { name in
            assert(name.span.isToken, "a constant that is no token")
            bytes.appendFieldLine(name.span, value)
        }
    }

    private mutating func giveBackBuffer(to buffer: inout [UInt8]) {
        // The writer of a head has the buffer to itself until then.
        precondition(buffer.isEmpty, "the buffer was written to while its contents were out")
        swap(&bytes, &buffer)
    }
}

extension Span<UInt8> {
    /// No control characters but HTAB (RFC 9110 §5.5).
    fileprivate var isFieldValue: Bool { firstControl(from: 0, to: count) == count }

    /// One or more token characters (RFC 9110 §5.6.2).
    fileprivate var isToken: Bool {
        for index in indices where !self[index].isTokenCharacter { return false }
        return !isEmpty
    }
}
