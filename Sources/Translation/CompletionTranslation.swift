import JSONText

/// Completions.
enum CompletionTranslation {
    /// The most values that a completion may have (server/utilities/completion).
    private static let maxValues = 100

    /// Cuts a list of values that is too long, and says that there is more.
    static func limitValues(_ result: JSONValue, of document: JSONDocument, _ splice: inout JSONSplice) {
        guard let completion = document.value("completion", of: result),
            let values = document.value("values", of: completion)
        else { return }
        let kept = Array(document.elements(of: values).prefix(maxValues + 1))
        guard kept.count > maxValues else { return }
        var text = Array("[".utf8)
        for (index, value) in kept.prefix(maxValues).enumerated() {
            if index > 0 { text.append(UInt8(ascii: ",")) }
            text.append(contentsOf: document.raw(value))
        }
        text.append(UInt8(ascii: "]"))
        splice.replaceValue(values, with: text)
        splice.setMember("hasMore", to: "true", in: completion, at: .end)
    }
}
