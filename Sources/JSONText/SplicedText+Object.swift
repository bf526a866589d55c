/// The two changes that nearly every message needs, each in one walk over the members. ``JSONSplice`` does these too,
/// and everything else, at several times the cost.
extension SplicedText {
    /// Continues with an object without the members that the predicate picks. What stays is spelled as it was.
    package mutating func append(
        _ object: JSONValue, of document: JSONDocument, without isRemoved: (JSONMember) -> Bool
    ) {
        guard document.owns(object) else { return append("null") }
        let bytes = document.bytes
        /// Where what is to be written next starts, and where in it the last member ends that stays.
        var start = object.range.lowerBound
        var kept: Int?
        /// Where the first of the members starts that go one after the other.
        var gap: Int?
        var end = start
        var members = JSONMembers.Cursor(object, in: document)
        while let member = members.nextMember(in: document) {
            let range = member.range
            end = range.upperBound
            if isRemoved(member) {
                gap = gap ?? range.lowerBound
                continue
            }
            if let first = gap {
                keepRange(start..<first, of: bytes)
                start = range.lowerBound
                gap = nil
            }
            kept = end
        }
        if let gap {
            // With the last member goes the comma before it.
            keepRange(start..<(kept ?? gap), of: bytes)
            start = end
        }
        keepRange(start..<object.range.upperBound, of: bytes)
    }

    /// Continues with the members of an object without those that the predicate picks, and a comma behind each, for others to
    /// follow. What stays is spelled as it was.
    package mutating func append(
        membersOf object: JSONValue, in document: JSONDocument, without isRemoved: (JSONMember) -> Bool
    ) {
        let bytes = document.bytes
        /// Where the members start and end that stay and go one after the other.
        var kept: Range<Int>?
        var members = JSONMembers.Cursor(object, in: document)
        while let member = members.nextMember(in: document) {
            if !isRemoved(member) {
                kept = (kept?.lowerBound ?? member.range.lowerBound)..<member.range.upperBound
                continue
            }
            if let range = kept.take() {
                keepRange(range, of: bytes)
                append(",")
            }
        }
        if let kept {
            keepRange(kept, of: bytes)
            append(",")
        }
    }

    /// Continues with an object and more members than it has.
    ///
    /// - Parameters:
    ///   - first: members to go before its own, with commas between them but none at the end.
    ///   - last: the same for after its own.
    package mutating func append(
        _ object: JSONValue, of document: JSONDocument, adding first: StaticString, and last: [UInt8]
    ) {
        guard document.owns(object) else { return append("null") }
        let bytes = document.bytes
        var extent: Range<Int>?
        var members = JSONMembers.Cursor(object, in: document)
        while let member = members.nextMember(in: document) {
            extent = (extent?.lowerBound ?? member.range.lowerBound)..<member.range.upperBound
        }
        let start = extent?.lowerBound ?? object.range.lowerBound + 1
        keepRange(object.range.lowerBound..<start, of: bytes)
        append(first)
        if let extent {
            append(",")
            keepRange(extent, of: bytes)
        }
        append(",")
        append(last)
        keepRange((extent?.upperBound ?? start)..<object.range.upperBound, of: bytes)
    }
}
