extension Format where Value == String {
    /// What a program can be given: any text without U+0000, which ends it for the kernel.
    static var argument: Format {
        Format(.text) { text throws(FormatError) in
            guard !text.utf8.contains(0) else { throw FormatError("must not contain U+0000") }
            return text
        }
    }

    /// The name of an environment variable.
    static var variable: Format {
        Format(.pattern("^[A-Za-z_][A-Za-z0-9_]*$")) { text throws(FormatError) in
            guard let first = text.utf8.first, first.isAlphabetic || first == UInt8(ascii: "_"),
                text.utf8.allSatisfy({ $0.isAlphanumeric || $0 == UInt8(ascii: "_") })
            else { throw FormatError("must be the name of a variable: letters, digits and _, with no digit first") }
            return text
        }
    }
}

extension Format where Value == String? {
    /// The path of something that is there, or `.` for where Remora runs.
    static func path(of thing: String) -> Format {
        Format(.text) { text throws(FormatError) in
            guard !text.isEmpty, !text.utf8.contains(0) else { throw FormatError("must be the path of a \(thing)") }
            return text == "." ? nil : text
        }
    }
}

extension Format where Value == Bool {
    /// Whether there is a value, whatever it is.
    static var given: Format { Format(.text) { _ throws(FormatError) in true } }
}
