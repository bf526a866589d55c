extension HTTPFields {
    /// What a header holds that may occur once only.
    package enum Single: Sendable {
        case missing
        case value(HTTPFieldValue)
        /// More than one field line has the name: which one counts would be for each reader to guess.
        case repeated
    }

    /// The value of the only field line with this name.
    package func single(_ name: StaticString) -> Single {
        name.withUTF8Buffer { single($0.span) }
    }

    /// The value of the only field line with a name that is known only at run time.
    package func single(named name: [UInt8]) -> Single { single(name.span) }

    private func single(_ name: Span<UInt8>) -> Single {
        guard hasName(as: name) else { return .missing }
        let bytes = head.span
        var found: Line?
        for line in lines where line.isNamed(name, in: bytes) {
            if found != nil { return .repeated }
            found = line
        }
        guard let found else { return .missing }
        return .value(HTTPFieldValue(head[found.value]))
    }
}
