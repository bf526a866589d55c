/// Finding members by name. Names compare as what they say, whatever escapes they are spelled with.
extension JSONDocument {
    /// The first member with that name; nil when there is none or the value is not an object.
    package func member(_ name: StaticString, of object: JSONValue) -> JSONMember? {
        guard let record = object.record else {
            return members(of: object).first { self.name(of: $0, equals: name) }
        }
        // Without an iterator: this is what most of the look-ups of a call are.
        let entry = outline.entries[record]
        precondition(entry.value == object.range, "the value is of another document")
        var index = record + 1
        while index < entry.next {
            if outline.name(index, equals: name, in: bytes) { return outline.member(index) }
            index = outline.entries[index].next
        }
        return nil
    }

    /// The value of the first member with that name; nil when there is none or the value is not an object.
    package func value(_ name: StaticString, of object: JSONValue) -> JSONValue? {
        member(name, of: object)?.value
    }

    /// The value of the first member with that name; nil when there is none, or it is of another kind.
    package func value(_ name: StaticString, of object: JSONValue, _ kind: JSONKind) -> JSONValue? {
        guard let value = member(name, of: object)?.value, value.kind == kind else { return nil }
        return value
    }

    /// The name of the member reads so.
    package func name(of member: JSONMember, equals name: StaticString) -> Bool {
        let bytes = bytes
        return bytes.span.reads(member.name, isEscaped: member.nameIsEscaped, as: name)
    }

    /// The name of the member, as it reads, starts so.
    package func hasName(_ member: JSONMember, prefix: StaticString) -> Bool {
        let bytes = bytes
        return prefix.withUTF8Buffer { prefix in
            if member.nameIsEscaped { return bytes.span.unescaped(member.name, hasPrefix: prefix.span) }
            guard member.name.count >= prefix.count else { return false }
            let text = bytes.span
            for index in 0..<prefix.count where text[member.name.lowerBound + index] != prefix[index] { return false }
            return true
        }
    }

    /// The name as it reads.
    package func name(of member: JSONMember) -> String {
        let bytes = bytes
        return String(decoding: bytes.span.unescaped(member.name), as: UTF8.self)
    }

    /// Two members of the object have the same name. False when the value is not an object.
    ///
    /// Unpaired surrogates all read as U+FFFD, and count as the same.
    package func hasDuplicateNames(_ object: JSONValue) -> Bool {
        let bytes = bytes
        var names = InlineArray<16, (name: Range<Int>, isEscaped: Bool)>(repeating: (0..<0, false))
        var count = 0
        for member in members(of: object) {
            guard count < names.count else { return hasDuplicateNamesAmongMany(object) }
            for index in 0..<count
            where member.nameIsEscaped || names[index].isEscaped || member.name.count == names[index].name.count {
                if bytes.span.unescaped(member.name, equals: bytes.span, names[index].name) {
                    return true
                }
            }
            names[count] = (member.name, member.nameIsEscaped)
            count += 1
        }
        return false
    }

    /// Sorts by hash first. The hash is seeded for each process, so nobody outside can make names collide.
    private func hasDuplicateNamesAmongMany(_ object: JSONValue) -> Bool {
        let bytes = bytes
        var names = members(of: object).map { member in (hash: hash(of: member.name), name: member.name) }
        names.sort { $0.hash < $1.hash }
        for index in names.indices {
            var next = index + 1
            while next < names.count, names[next].hash == names[index].hash {
                if bytes.span.unescaped(names[index].name, equals: bytes.span, names[next].name) {
                    return true
                }
                next += 1
            }
        }
        return false
    }

    private func hash(of name: Range<Int>) -> Int {
        let bytes = bytes
        var hasher = Hasher()
        var unescaped = UnescapedBytes(name)
        while let byte = unescaped.next(in: bytes.span) {
            hasher.combine(byte)
        }
        return hasher.finalize()
    }
}
