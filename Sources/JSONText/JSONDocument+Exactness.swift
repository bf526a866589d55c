extension JSONDocument {
    /// The name of a member has an unpaired surrogate, which readers read in different ways.
    package func hasUnpairedSurrogate(nameOf member: JSONMember) -> Bool {
        guard member.nameIsEscaped, owns(member.value) else { return false }
        let bytes = bytes
        return bytes.span.hasUnpairedSurrogate(member.name)
    }
}
