extension Unicode.Scalar {
    /// Whether it acts on a terminal or on the text around it, or is not seen at all: with these, what a peer sends could look
    /// like something else, or like nothing, to a reader of the log.
    package var isDeceptive: Bool {
        switch value {
        // Control characters of seven and of eight bits, and the soft hyphen.
        case 0..<0x20, 0x7F..<0xA0, 0xAD: true
        // Directions: marks, embeddings, overrides and isolates; the separators of lines and paragraphs; characters of no
        // width, and operators that are not seen.
        case 0x61C, 0x180E, 0x200B...0x200F, 0x2028...0x202E, 0x2060...0x206F, 0xFEFF: true
        // Annotations between lines, and tags.
        case 0xFFF9...0xFFFB, 0xE0000...0xE007F: true
        default: false
        }
    }

    /// As JSON and terminals have it: `\u202e`, and of a scalar beyond U+FFFF two of these.
    package var escape: String {
        UTF16.encode(self)?.map { unit in
            let digits = String(unit, radix: 16)
            return "\\u" + String(repeating: "0", count: max(0, 4 - digits.utf8.count)) + digits
        }
        .joined() ?? ""
    }
}

extension String {
    /// The text for a person, with an escape in the place of everything that deceives.
    ///
    /// - Parameter kept: what is ours and does what it is meant to do.
    package func visibleText(keeping kept: [Unicode.Scalar] = []) -> String {
        guard unicodeScalars.contains(where: { $0.isDeceptive && !kept.contains($0) }) else { return self }
        var text = ""
        for scalar in unicodeScalars {
            if scalar.isDeceptive, !kept.contains(scalar) {
                text += scalar.escape
            } else {
                text.unicodeScalars.append(scalar)
            }
        }
        return text
    }
}
