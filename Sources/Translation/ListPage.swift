package import JSONText

/// One page of a list as clients get it, but for what differs from answer to answer: id, cursor, and how long it is
/// fresh.
package struct ListPage: Sendable {
    /// The modern result; its bytes are shared by all answers.
    let document: JSONDocument
    /// How many items of the list are before it.
    package let start: Int

    init(_ document: JSONDocument, start: Int) {
        self.document = document
        self.start = start
    }

    /// Bytes that it takes.
    package var size: Int { document.bytes.count }

    /// A whole response to the request with this id.
    ///
    /// - Parameters:
    ///   - ttlMs: milliseconds that are left of its freshness.
    ///   - nextCursor: what leads to the next page, in characters that JSON need not escape; nil on the last one.
    package func pageResponse(id: ArraySlice<UInt8>, ttlMs: Int, nextCursor: [UInt8]?) -> SplicedText {
        var splice = JSONSplice(document)
        splice.setMember("ttlMs", to: Array(String(ttlMs).utf8), in: document.root, at: .end)
        if let nextCursor {
            let quote = UInt8(ascii: "\"")
            splice.setMember("nextCursor", to: [quote] + nextCursor + [quote], in: document.root, at: .end)
        } else {
            splice.removeMembers("nextCursor", from: document.root)
        }
        var text = splice.renderedText(document.root)
        text.prepend(ResponseText.resultHead(id: id))
        text.append("}")
        return text
    }
}
