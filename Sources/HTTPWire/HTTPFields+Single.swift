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
        name.withUTF8Buffer { name in
            guard hasName(as: name.span) else { return .missing }
            let bytes = head.span
            var found: Line?
            for line in lines where line.isNamed(name.span, in: bytes) {
                if found != nil { return .repeated }
                found = line
            }
            guard let found else { return .missing }
            return .value(HTTPFieldValue(head[found.value]))
        }
    }
}
