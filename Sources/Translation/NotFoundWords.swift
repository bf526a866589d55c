import JSONText
import MCP

/// How servers say that a resource, a tool or a prompt does not exist where their code does not say it: the Python SDK until 2
/// says 0 and "Unknown resource: URI", the SDKs for Kotlin and Java said -32603 and "Resource not found: URI", that for
/// TypeScript says -32602 and "Resource URI not found".
enum NotFoundWords {
    /// Whether a message says it of what the method names.
    static func sayNotFound(_ message: JSONValue, in document: JSONDocument, of method: Method) -> Bool {
        guard let kind = method.noun else { return false }
        let text = withoutCode(document.raw(message).dropFirst().dropLast())
        return namesKind(text, after: "unknown ", kind) || namesKind(text, after: "no such ", kind)
            || startsWith(text, kind, " not found")
            || (startsWith(text, kind, " ") && (endsWith(text, " not found") || endsWith(text, " does not exist")))
    }

    /// Whether the two words are all, or a name follows: not "Unknown resource type".
    private static func namesKind(_ text: ArraySlice<UInt8>, after first: StaticString, _ kind: StaticString) -> Bool {
        guard startsWith(text, first, kind) else { return false }
        let rest = text.dropFirst(first.utf8CodeUnitCount + kind.utf8CodeUnitCount)
        let marks: [StaticString] = [":", ".", " '", " \\\"", " `", " uri"]
        return rest.isEmpty || marks.contains { startsWith(rest, $0, "") }
    }

    /// The SDK for TypeScript puts "MCP error CODE: " before its messages.
    private static func withoutCode(_ text: ArraySlice<UInt8>) -> ArraySlice<UInt8> {
        guard startsWith(text, "mcp error ", ""), let colon = text.prefix(24).firstIndex(of: UInt8(ascii: ":")) else {
            return text
        }
        return text[colon...].dropFirst().drop { $0 == UInt8(ascii: " ") }
    }

    private static func startsWith(
        _ text: ArraySlice<UInt8>, _ first: StaticString, _ second: StaticString
    ) -> Bool {
        readsAs(text.prefix(first.utf8CodeUnitCount), first)
            && readsAs(text.dropFirst(first.utf8CodeUnitCount).prefix(second.utf8CodeUnitCount), second)
    }

    private static func endsWith(_ text: ArraySlice<UInt8>, _ end: StaticString) -> Bool {
        let sentence = text.last == UInt8(ascii: ".") ? text.dropLast() : text
        return readsAs(sentence.suffix(end.utf8CodeUnitCount), end)
    }

    /// Whether it is the text, which has no capitals, in whatever case.
    private static func readsAs(_ bytes: ArraySlice<UInt8>, _ text: StaticString) -> Bool {
        text.withUTF8Buffer { text in
            bytes.elementsEqual(text) { byte, lower in
                byte == lower || ((0x41...0x5A).contains(byte) && byte | 0x20 == lower)
            }
        }
    }
}
