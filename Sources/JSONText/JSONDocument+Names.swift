/// Finding members by name. Names compare as what they say, whatever escapes they are spelled with.
extension JSONDocument {
    /// The first member with that name; nil when there is none or the value is not an object.
    package func member(_ name: StaticString, of object: JSONValue) -> JSONMember? {
        name.withBytes { name in
            if let record = object.record { return recordedMember(name, of: object, at: record) }
            return unrecordedMember(name, of: object)
        }
    }

    /// Without an iterator: this is what most of the look-ups of a call are.
    @inline(__always)
    private func recordedMember(_ name: Span<UInt8>, of object: JSONValue, at record: Int) -> JSONMember? {
        let bytes = bytes
        let members = outline.members(of: object, at: record)
        var index = members.lowerBound
        while index < members.upperBound {
            let entry = outline.entries[index]
            if bytes.span.reads(entry.name, isEscaped: entry.nameIsEscaped, as: name) { return outline.member(index) }
            index = Int(entry.next)
        }
        return nil
    }

    @inline(never)
    private func unrecordedMember(_ name: Span<UInt8>, of object: JSONValue) -> JSONMember? {
        let bytes = bytes
        var members = JSONMembers.Cursor(object, in: self)
        while let member = members.next(in: self) {
            if bytes.span.reads(member.namePlace, isEscaped: member.nameIsEscaped, as: name) { return member }
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
    @inline(__always)
    package func name(of member: JSONMember, equals name: StaticString) -> Bool {
        // Most names that are not the one are not as long either.
        guard member.nameIsEscaped || member.namePlace.count == name.utf8CodeUnitCount else { return false }
        return reads(member, as: name)
    }

    @inline(never)
    private func reads(_ member: JSONMember, as name: StaticString) -> Bool {
        let bytes = bytes
        return name.withBytes { bytes.span.reads(member.namePlace, isEscaped: member.nameIsEscaped, as: $0) }
    }

    /// The name of the member, as it reads, starts so.
    package func hasName(_ member: JSONMember, prefix: StaticString) -> Bool {
        let bytes = bytes
        return prefix.withBytes { prefix in
            if member.nameIsEscaped { return bytes.span.unescaped(member.name, hasPrefix: prefix) }
            return member.namePlace.count >= prefix.count
                && bytes.span.extracting(member.name).extracting(first: prefix.count).isEqual(to: prefix)
        }
    }

    /// The object has no members. True when the value is not an object.
    package func isEmpty(_ object: JSONValue) -> Bool {
        var members = JSONMembers.Cursor(object, in: self)
        return members.next(in: self) == nil
    }

    /// Shows the members of an object in their order. None when the value is not an object.
    package func forEachMember(of object: JSONValue, _ body: (JSONMember) -> Void) {
        var members = JSONMembers.Cursor(object, in: self)
        while let member = members.next(in: self) { body(member) }
    }

    /// The object has a member that the predicate picks. False when the value is not an object.
    @inline(__always)
    package func hasMember(of object: JSONValue, where predicate: (JSONMember) -> Bool) -> Bool {
        var members = JSONMembers.Cursor(object, in: self)
        while let member = members.next(in: self) {
            if predicate(member) { return true }
        }
        return false
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
        if let record = object.record { return hasDuplicateNames(object, at: record) }
        let bytes = bytes
        let text = bytes.span
        var names = InlineArray<16, Place>(repeating: Place(0..<0))
        var count = 0
        var members = JSONMembers.Cursor(object, in: self)
        while let member = members.next(in: self) {
            guard count < names.count, !member.nameIsEscaped else { return hasDuplicateNamesAmongMany(object) }
            let name = text.extracting(member.name)
            for index in 0..<count where names[index].count == name.count {
                if name.isEqual(to: text.extracting(names[index].range)) { return true }
            }
            names[count] = member.namePlace
            count += 1
        }
        return false
    }

    /// The same for an object that is recorded, as those are that come with each message.
    private func hasDuplicateNames(_ object: JSONValue, at record: Int) -> Bool {
        let bytes = bytes
        let members = outline.members(of: object, at: record)
        var index = members.lowerBound
        var count = 0
        while index < members.upperBound {
            let entry = outline.entries[index]
            guard count < JSONDocument.fewNames, !entry.nameIsEscaped else {
                return hasDuplicateNamesAmongMany(object)
            }
            var earlier = members.lowerBound
            while earlier < index {
                if bytes.span.reads(entry.name, equals: outline.entries[earlier].name) { return true }
                earlier = Int(outline.entries[earlier].next)
            }
            index = Int(entry.next)
            count += 1
        }
        return false
    }

    /// So many names are compared each with each.
    private static let fewNames = 16

    /// Any number of names, with or without escapes. Sorts by hash first. The hash is seeded for each process, so nobody outside can make names collide.
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
