extension Span<UInt8> {
    /// The minor version of an `HTTP-version` that is 1.0 or 1.1 (RFC 9112 §2.3).
    ///
    /// - Parameter malformed: The reason to give if this is no HTTP version at all.
    func httpMinorVersion(else malformed: HTTPDecodeError.Reason) throws(HTTPDecodeError) -> Int {
        if equals("HTTP/1.1") { return 1 }
        if equals("HTTP/1.0") { return 0 }
        let isVersion =
            count == 8 && extracting(0..<5).equals("HTTP/") && self[5].isDigit && self[6] == 0x2E && self[7].isDigit
        throw HTTPDecodeError(isVersion ? .unsupportedVersion : malformed)
    }
}
