import JSONText

/// What a server said, as it may be told to a client and written to the log: the message of a JSON-RPC error, or a plain text.
enum ServerWords {
    /// Bytes that are looked at.
    static let maxText = 4096
    /// Characters that are repeated.
    private static let maxShown = 200

    /// Nil where the server said nothing that a person could read.
    static func readableText(_ text: [UInt8]) -> String? {
        guard let document = try? JSONDocument(text, maxDepth: 64) else {
            // A page is for a browser.
            return text.first == UInt8(ascii: "<") ? nil : printableText(String(decoding: text, as: UTF8.self))
        }
        // An error's object alone, or a whole response.
        let error = document.value("error", of: document.root) ?? document.root
        if error.kind == .string { return document.string(error).flatMap(printableText) }
        return document.value("message", of: error).flatMap { document.string($0) }.flatMap(printableText)
    }

    private static func printableText(_ text: String) -> String? {
        var shown = ""
        for scalar in text.unicodeScalars.prefix(maxShown) {
            let isControl = scalar.value < 0x20 || (0x7F...0x9F).contains(scalar.value)
            shown.unicodeScalars.append(isControl ? " " : scalar)
        }
        return shown.contains { $0 != " " } ? shown : nil
    }
}
