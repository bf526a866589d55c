/// Why a value is not accepted: a phrase that follows the key's name and says what the value must be.
struct FormatError: Error, Equatable {
    let requirement: String
    /// What was probably meant, as it is to be written.
    let remedy: String?

    init(_ requirement: String, write remedy: String? = nil) {
        self.requirement = requirement
        self.remedy = remedy
    }

    /// The same where one more thing is allowed.
    func adding(_ alternative: String) -> FormatError {
        FormatError("\(requirement), or \(alternative)", write: remedy)
    }
}

/// How the text of a value is read and checked.
struct Format<Value> {
    /// What it is in a schema.
    let shape: ValueShape
    let parse: (String) throws(FormatError) -> Value

    init(_ shape: ValueShape, _ parse: @escaping (String) throws(FormatError) -> Value) {
        self.shape = shape
        self.parse = parse
    }
}

extension Format where Value == Int {
    /// A whole number in decimal digits.
    static func integer(_ range: ClosedRange<Int>) -> Format {
        Format(.integer(range)) { text throws(FormatError) in
            guard text.utf8.allSatisfy(\.isDigit),
                let number = Int(text), range.contains(number)
            else {
                throw FormatError("must be a whole number between \(range.lowerBound) and \(range.upperBound)")
            }
            return number
        }
    }

    /// A number of bytes, such as `512KiB`, `8MiB` or plain digits.
    static func size(_ range: ClosedRange<Int>) -> Format {
        let (low, high) = (Units.size.formatNumber(range.lowerBound), Units.size.formatNumber(range.upperBound))
        let shape = ValueShape.quantity(Units.size.pattern, bare: range, bounds: "\(low) to \(high)")
        return Format(shape) { text throws(FormatError) in
            guard let bytes = Units.size.parseNumber(text) else {
                throw FormatError(
                    "must be a size such as 65536, 512KiB, 8MiB or 1GiB", write: Units.size.likelySpelling(of: text))
            }
            guard range.contains(bytes) else { throw FormatError("must be between \(low) and \(high)") }
            return bytes
        }
    }
}

extension Format where Value == Int? {
    /// A whole number in decimal digits, or a word for none.
    static func integer(_ range: ClosedRange<Int>, none word: String) -> Format {
        let number = Format<Int>.integer(range)
        return Format(number.shape.orWords(word)) { text throws(FormatError) in
            if text == word { return nil }
            do throws(FormatError) {
                return try number.parse(text)
            } catch {
                throw error.adding(word)
            }
        }
    }
}

extension Format where Value == Duration {
    /// A time such as `250ms`, `10s`, `5m` or `1h`; zero needs no unit. The bounds are whole milliseconds.
    static func duration(_ range: ClosedRange<Duration>) -> Format {
        let (low, high) = (formatDuration(range.lowerBound), formatDuration(range.upperBound))
        let shape = ValueShape.quantity(
            Units.duration.pattern, bare: range.contains(.zero) ? 0...0 : nil, bounds: "\(low) to \(high)")
        return Format(shape) { text throws(FormatError) in
            guard let milliseconds = Units.duration.parseNumber(text) else {
                // Only a number: nearly always seconds.
                let isBare = text.utf8.allSatisfy(\.isDigit) && !text.isEmpty
                throw FormatError(
                    "must be a number with a unit such as 250ms, 10s, 5m or 1h",
                    write: Units.duration.likelySpelling(of: isBare ? text + "s" : text))
            }
            let duration = Duration.milliseconds(milliseconds)
            guard range.contains(duration) else { throw FormatError("must be between \(low) and \(high)") }
            return duration
        }
    }

    private static func formatDuration(_ duration: Duration) -> String {
        Units.duration.formatNumber(Int(duration / .milliseconds(1)))
    }
}

extension Format where Value == Duration? {
    /// A time, or a word for none.
    static func duration(_ range: ClosedRange<Duration>, none word: String) -> Format {
        let duration = Format<Duration>.duration(range)
        return Format(duration.shape.orWords(word)) { text throws(FormatError) in
            if text == word { return nil }
            do throws(FormatError) {
                return try duration.parse(text)
            } catch {
                throw error.adding(word)
            }
        }
    }
}

extension Format where Value == Bool {
    /// `true` or `false`; YAML's other spellings are not worth a misunderstanding.
    static var boolean: Format {
        Format(.boolean) { text throws(FormatError) in
            switch text {
            case "true": return true
            case "false": return false
            case let other:
                let words = ["yes": "true", "on": "true", "1": "true", "no": "false", "off": "false", "0": "false"]
                let word = other.lowercased()
                let remedy = words[word] ?? (["true", "false"].contains(word) ? word : nil)
                throw FormatError("must be true or false", write: remedy)
            }
        }
    }
}

extension Format where Value: CaseIterable & RawRepresentable<String> {
    /// One of the names of an enumeration.
    static var choice: Format {
        let names = Value.allCases.map(\.rawValue)
        return Format(.words(names)) { text throws(FormatError) in
            guard let value = Value(rawValue: text) else {
                throw FormatError(
                    "must be one of \(names.joined(separator: ", "))",
                    write: Spelling.likelyChoice(for: text, among: names))
            }
            return value
        }
    }
}
