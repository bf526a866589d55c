/// One line of a file with its number, and a caret below a place in it:
/// ```
///    12 |   idle_timeout: 0
///       |                 ^
/// ```
struct Excerpt: CustomStringConvertible {
    let description: String

    /// How much of a long line is shown on either side of the caret, in Unicode scalars: one character may be any number
    /// of them.
    private static let reach = 60

    /// `before` and `after` are the parts of the line that the caret divides.
    init(line: Int, before: String, after: String) {
        let (before, after) = (before.withoutUserInfo, after.withoutUserInfo)
        let nearLeft = before.unicodeScalars.suffix(Self.reach)
        let nearRight = after.unicodeScalars.prefix(Self.reach)
        let left = (nearLeft.startIndex > before.startIndex ? "…" : "") + String(nearLeft).printable
        let right = String(nearRight).printable + (nearRight.endIndex < after.endIndex ? "…" : "")
        let indent = left.map(\.blank).joined()
        let number = String(line)
        let gutter = String(repeating: " ", count: max(0, 5 - number.count)) + number
        let blankGutter = String(repeating: " ", count: gutter.count)
        description =
            (left.isEmpty && right.isEmpty ? "\(gutter) |" : "\(gutter) | \(left)\(right)")
            + "\n\(blankGutter) | \(indent)^"
    }
}

extension Character {
    /// White space as wide as this character on a terminal: a tab stays one, East Asian letters and emoji take two cells.
    fileprivate var blank: String {
        if self == "\t" { return "\t" }
        guard let scalar = unicodeScalars.first else { return "" }
        // The blocks that Unicode's EastAsianWidth.txt has as wide; the rest of it is not worth a table.
        let isWide =
            switch scalar.value {
            case 0x1100...0x115F, 0x2E80...0xA4CF, 0xAC00...0xD7A3, 0xF900...0xFAFF, 0xFE30...0xFE6F, 0xFF00...0xFF60,
                0xFFE0...0xFFE6, 0x20000...0x3FFFD:
                true
            default: scalar.properties.isEmojiPresentation
            }
        return isWide ? "  " : " "
    }
}

extension String {
    /// This text with control characters replaced, which could otherwise steer the terminal that shows it. Tabs stay.
    package var printable: String {
        var result = String.UnicodeScalarView()
        for scalar in unicodeScalars {
            result.append(scalar == "\t" || !scalar.isControl ? scalar : "\u{FFFD}")
        }
        return String(result)
    }

    /// This text with `…` in the place of the user names and passwords of URLs in it (RFC 3986 §3.2.1).
    var withoutUserInfo: String {
        var result = ""
        var rest = self[...]
        while let mark = rest.firstRange(of: "://") {
            result += rest[..<mark.upperBound]
            rest = rest[mark.upperBound...]
            let end = rest.firstIndex { "/?# \t\n\"'".contains($0) } ?? rest.endIndex
            if let at = rest[..<end].lastIndex(of: "@") {
                result += "…"
                rest = rest[at...]
            }
        }
        return result + rest
    }

    /// This text as it is shown within a message: in quotes, on one line, and not too long.
    var quoted: String {
        let limit = 60
        var result = "\""
        for scalar in unicodeScalars.prefix(limit) {
            switch scalar {
            case "\n": result += "\\n"
            case "\t": result += "\\t"
            case _ where scalar.isControl: result += "\u{FFFD}"
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result + (unicodeScalars.count > limit ? "…\"" : "\"")
    }
}

extension Unicode.Scalar {
    /// Controls, line separators, and the marks that turn the direction of writing.
    fileprivate var isControl: Bool {
        switch properties.generalCategory {
        case .control, .lineSeparator, .paragraphSeparator: true
        default: (0x202A...0x202E).contains(value) || (0x2066...0x2069).contains(value)
        }
    }
}
