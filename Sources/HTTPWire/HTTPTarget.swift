extension Span<UInt8> {
    /// Can this be `uri-host [ ":" port ]`, or empty (RFC 9112 §3.2)? Only characters are looked at: enough to keep the
    /// ends of a host where another parser sees them too.
    var isHost: Bool {
        for index in indices where !self[index].isHostCharacter { return false }
        return true
    }

    /// Printable ASCII without SP and `#`: a request target has no fragment (RFC 9112 §3.2).
    var hasOnlyTargetCharacters: Bool {
        for index in indices where self[index] &- 0x21 > 0x5D || self[index] == ASCII.hash { return false }
        return true
    }

    /// Where the authority of an absolute-form target is, or `nil` if the target is in another form (RFC 9112 §3.2.2).
    var absoluteFormAuthority: Range<Int>? {
        guard !isEmpty, (self[0] | 0x20) &- 0x61 < 26 else { return nil }
        let schemeEnd = first(ASCII.colon, from: 0, to: count)
        guard schemeEnd + 2 < count else { return nil }
        for index in 0..<schemeEnd {
            let byte = self[index]
            guard (byte | 0x20) &- 0x61 < 26 || byte.isDigit || byte == 0x2B || byte == 0x2D || byte == 0x2E else {
                return nil
            }
        }
        guard self[schemeEnd + 1] == ASCII.slash, self[schemeEnd + 2] == ASCII.slash else { return nil }
        let start = schemeEnd + 3
        let end = Swift.min(first(ASCII.slash, from: start, to: count), first(ASCII.question, from: start, to: count))
        guard end > start, extracting(start..<end).isHost else { return nil }
        return start..<end
    }
}
