/// Finding members by name. Names compare as what they say, whatever escapes they are spelled with.
extension JSONDocument {
    /// The first member with that name; nil when there is none or the value is not an object.
    package func member(_ name: StaticString, of object: JSONValue) -> JSONMember? {
        guard owns(object) else { return nil }
        return name.withBytes { name in
            if let record = object.record { return recordedMember(name, of: object, at: record) }
            return unrecordedMember(name, of: object)
        }
    }

    /// A lookup in this object needs no look at the text: where it is not so, each costs the length of the object. True of
    /// objects on the outer levels that were recorded, with up to ``JSONOutline/outerReserve`` members in all.
    package func isQuick(_ object: JSONValue) -> Bool { owns(object) && object.record != nil }

    /// Without an iterator: this is what most of the look-ups of a call are.
    @inline(__always)
    private func recordedMember(_ name: Span<UInt8>, of object: JSONValue, at record: Int) -> JSONMember? {
        let bytes = bytes
        let members = outline.memberEntries(of: object, at: record)
        var index = members.lowerBound
        while index < members.upperBound {
            let entry = outline.entries[index]
            if bytes.span.reads(entry.name, isEscaped: entry.nameIsEscaped, as: name) {
                return outline.memberAt(index, of: tag)
            }
            index = Int(entry.next)
        }
        return nil
    }

    @inline(never)
    private func unrecordedMember(_ name: Span<UInt8>, of object: JSONValue) -> JSONMember? {
        let bytes = bytes
        var members = JSONMembers.Cursor(object, in: self)
        while let member = members.nextMember(in: self) {
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
        guard member.nameIsEscaped || member.namePlace.count == name.utf8CodeUnitCount, owns(member.value) else {
            return false
        }
        return reads(member, as: name)
    }

    @inline(never)
    private func reads(_ member: JSONMember, as name: StaticString) -> Bool {
        let bytes = bytes
        return name.withBytes { bytes.span.reads(member.namePlace, isEscaped: member.nameIsEscaped, as: $0) }
    }

    /// The name of the member, as it reads, starts so.
    package func hasName(_ member: JSONMember, prefix: StaticString) -> Bool {
        guard owns(member.value) else { return false }
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
        return members.nextMember(in: self) == nil
    }

    /// Shows the members of an object in their order. None when the value is not an object.
    package func forEachMember(of object: JSONValue, _ body: (JSONMember) -> Void) {
        var members = JSONMembers.Cursor(object, in: self)
        while let member = members.nextMember(in: self) { body(member) }
    }

    /// The object has a member that the predicate picks. False when the value is not an object.
    @inline(__always)
    package func hasMember(of object: JSONValue, where predicate: (JSONMember) -> Bool) -> Bool {
        var members = JSONMembers.Cursor(object, in: self)
        while let member = members.nextMember(in: self) {
            if predicate(member) { return true }
        }
        return false
    }

    /// The name as it reads.
    package func name(of member: JSONMember) -> String {
        guard owns(member.value) else { return "" }
        let bytes = bytes
        return String(decoding: bytes.span.unescaped(member.name), as: UTF8.self)
    }

    /// Two members of the object have the same name. False when the value is not an object.
    ///
    /// Unpaired surrogates all read as U+FFFD, and count as the same. An object with more than ``maxNames`` members counts as one
    /// that has: the caller refuses it, and millions of names are not looked at.
    package func hasDuplicateNames(_ object: JSONValue) -> Bool {
        guard owns(object) else { return false }
        if let record = object.record { return hasDuplicateNames(object, at: record) }
        let bytes = bytes
        let text = bytes.span
        var names = InlineArray<16, TextRange>(repeating: TextRange(0..<0))
        var count = 0
        var members = JSONMembers.Cursor(object, in: self)
        while let member = members.nextMember(in: self) {
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
        let members = outline.memberEntries(of: object, at: record)
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

    /// Members of an object in which names are looked at. Those of the objects that are asked about have about ten.
    package static let maxNames = 10_000

    /// So many names are compared each with each.
    private static let fewNames = 16

    /// Any number of names, with or without escapes, in time that grows as their text does. The hash is seeded for each process,
    /// so a peer cannot make names collide.
    private func hasDuplicateNamesAmongMany(_ object: JSONValue) -> Bool {
        let bytes = bytes
        let text = bytes.span
        var names: [TextRange] = []
        var members = JSONMembers.Cursor(object, in: self)
        while let member = members.nextMember(in: self) {
            guard names.count < JSONDocument.maxNames else { return true }
            names.append(member.namePlace)
        }
        // Open addressing, at most half full; each slot has the number of a name, from 1.
        var size = 2
        while size < 2 * names.count { size *= 2 }
        var slots = [UInt32](repeating: 0, count: size)
        for index in names.indices {
            let name = names[index].range
            var slot = text.hash(of: name) & (size - 1)
            while slots[slot] != 0 {
                if text.unescaped(names[Int(slots[slot]) - 1].range, equals: text, name) { return true }
                slot = (slot + 1) & (size - 1)
            }
            slots[slot] = UInt32(index + 1)
        }
        return false
    }
}

extension Span<UInt8> {
    /// The same for names that read the same.
    fileprivate func hash(of name: Range<Int>) -> Int {
        var hasher = Hasher()
        if StringSearch.quoteOrBackslash(extracting(name), from: 0) == name.count {
            extracting(name).withUnsafeBufferPointer { hasher.combine(bytes: UnsafeRawBufferPointer($0)) }
        } else {
            unescaped(name).withUnsafeBytes { hasher.combine(bytes: $0) }
        }
        return hasher.finalize()
    }
}
