/// Comparisons of a field's name or value without regard to case, with texts that are known only at run time.
extension HTTPFieldValue {
    /// - Parameter lowercased: In lower case.
    package func equalsIgnoringCase(_ lowercased: [UInt8]) -> Bool {
        bytes.count == lowercased.count && bytes.span.startsIgnoringCase(with: lowercased)
    }

    /// - Parameter lowercased: In lower case.
    package func startsIgnoringCase(with lowercased: [UInt8]) -> Bool {
        bytes.span.startsIgnoringCase(with: lowercased)
    }

    /// A host without its port: what stands before the last colon, if only digits follow (RFC 9110 §7.2).
    package var withoutPort: HTTPFieldValue {
        guard let colon = bytes.lastIndex(of: ASCII.colon),
            bytes[(colon + 1)...].allSatisfy({ (0x30...0x39).contains($0) })
        else { return self }
        return HTTPFieldValue(bytes[..<colon])
    }
}

extension Span<UInt8> {
    /// Whether the first bytes are these, but for the case of ASCII letters.
    ///
    /// - Parameter lowercased: In lower case.
    func startsIgnoringCase(with lowercased: [UInt8]) -> Bool {
        guard count >= lowercased.count else { return false }
        for index in 0..<lowercased.count {
            if self[index].lowercasedASCII != lowercased[index] { return false }
        }
        return true
    }
}
