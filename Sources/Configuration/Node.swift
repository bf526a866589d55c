/// A value in the document, with the place it came from.
struct Node {
    /// Where a value was given, for messages.
    enum Origin {
        /// In the file, in Unicode scalars from its start.
        case position(Int)
        /// On the command line, by the option of this name.
        case option(String)
    }

    /// One line of a mapping.
    struct Entry {
        let key: String
        let keyPosition: Int
        var value: Node
    }

    enum Content {
        case scalar(Scalar)
        case list([Node])
        case mapping([Entry])
        /// Something was wrong with it that is already reported.
        case refused
    }

    let origin: Origin
    var content: Content
}

/// The text of a value.
struct Scalar {
    /// As the file has it, `${NAME}` unexpanded: what messages show.
    let written: String
    /// With the environment's values put in.
    var value: String
    /// Written without quotes.
    let isPlain: Bool
    /// Whether `value` holds something from the environment.
    var isExpanded = false

    /// `key:` with nothing behind it.
    var isAbsent: Bool { isPlain && written.isEmpty }

    /// The name behind a `$` without braces, as a shell would expand it: that is text here.
    var unexpandedVariable: String? {
        guard let dollar = written.firstIndex(of: "$") else { return nil }
        let rest = written[written.index(after: dollar)...]
        let name = String(rest.prefix { $0.isASCII && ($0.isLetter || $0.isNumber || $0 == "_") })
        return name.isVariableName ? name : nil
    }

    init(_ text: String, isPlain: Bool) {
        written = text
        value = text
        self.isPlain = isPlain
    }
}

extension Node {
    /// `key:` with nothing behind it.
    var isAbsent: Bool {
        if case .scalar(let scalar) = content { scalar.isAbsent } else { false }
    }

    /// What it is, for messages; scalars are shown by their text as the file has it, never by what came from the
    /// environment, which may be a secret, and without user names and passwords of URLs.
    var shown: String {
        switch content {
        case .scalar(let scalar) where scalar.isAbsent: "nothing"
        case .scalar(let scalar) where scalar.isExpanded:
            "\(scalar.written.withoutUserInfo.quoted) (its value is not shown)"
        case .scalar(let scalar): scalar.written.withoutUserInfo.quoted
        case .list: "a list"
        case .mapping: "a mapping"
        case .refused: "something else"
        }
    }
}
