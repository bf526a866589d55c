extension HTTPFieldValue {
    /// Whether the value is this media type, whatever its parameters and case (RFC 9110 §8.3.1).
    ///
    /// - Parameter type: In lower case, without parameters.
    package func isMediaType(_ type: StaticString) -> Bool {
        let value = bytes.span
        let end = type.utf8CodeUnitCount
        guard value.count >= end, value.extracting(0..<end).equalsIgnoringCase(type) else { return false }
        return value.count == end || value[end] == ASCII.semicolon || value[end].isHTTPSpace
    }
}
