extension HTTPFieldValue {
    /// Whether the value is this media type, whatever its parameters and case (RFC 9110 §8.3.1).
    ///
    /// - Parameter type: In lower case, without parameters.
    package func isMediaType(_ type: StaticString) -> Bool {
        let end = bytes.firstIndex { $0 == ASCII.semicolon || $0 == ASCII.space || $0 == ASCII.tab } ?? bytes.endIndex
        let essence = bytes[..<end]
        return essence.span.equalsIgnoringCase(type)
    }
}
