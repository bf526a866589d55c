package import JSONText
package import MCP

/// Makes one list of the pages that a legacy server gave one after the other, and pages of Remora's own of that
/// (2026-07-28, server/utilities/pagination).
///
/// Items stay byte for byte as `ResultTranslation` leaves them. What else is in a result comes from the first page.
package struct ListAssembly {
    private let method: Method
    private let member: StaticString
    private let context: ResultContext
    /// The server's pages, as modern results.
    private var parts: [JSONDocument] = []
    /// The cursors that led to them. One that comes again leads nowhere.
    private var followed: Set<[UInt8]> = []

    /// Items so far.
    package private(set) var itemCount = 0
    /// Bytes of all pages so far.
    package private(set) var byteCount = 0
    /// What the pages say of tools, where it is tools that they list.
    package private(set) var tools: ToolFacts

    /// - Parameters:
    ///   - method: one that lists something.
    ///   - readsHandles: as of ``ToolFacts/init(readsHandles:)``.
    package init(of method: Method, with context: ResultContext, readsHandles: Bool = false) {
        self.method = method
        tools = ToolFacts(readsHandles: readsHandles)
        // No other method has an assembly; the list of another method is empty.
        member = method.listedMember ?? ""
        self.context = context
    }

    /// Items of Remora's own, which come before those of the server.
    private var ownItems: [[UInt8]] = []

    /// Tells clients of handles, when all pages are there: the tools that open and close sessions, and the argument of the others.
    ///
    /// - Parameter listsTools: whether the first page is among them.
    package mutating func offerHandles(_ offer: HandleOffer, listsTools: Bool) throws(TranslationError) {
        guard method == .listTools, let names = HandleToolNames(avoiding: tools) else { return }
        let argument = offer.argumentSchema(names)
        for index in parts.indices {
            let part = parts[index]
            var splice = JSONSplice(part)
            HandleArgument.extendTools(in: part.root, of: part, &splice, argument, isRequired: offer.isRequired)
            var text: [UInt8] = []
            splice.renderedText(part.root).append(to: &text)
            parts[index] = try ListAssembly.documentOfPart(text)
        }
        if listsTools { ownItems = offer.toolDefinitions(names) }
    }

    /// In the place of a first page, before there is one.
    private static let nothing = JSONDocument.emptyObject

    /// How many pages the server gave.
    package var partCount: Int { parts.count }

    /// Adds the next page.
    ///
    /// - Parameter cursor: what led to it, as it was returned for the page before; nil for the first page.
    /// - Returns: what the server calls the page after it, as it spelled it; nil after the last one. Even an empty string leads
    ///   on, once. The list ends where a cursor comes again, and a page that is the same as the one before, because the server
    ///   has not looked at the cursor, is not added.
    package mutating func addPage(
        _ result: JSONValue, in document: JSONDocument, at cursor: [UInt8]?
    ) throws(TranslationError) -> [UInt8]? {
        let part = try translatedItem(result, in: document)
        if let cursor { followed.insert(cursor) }
        let next = nextCursor(of: result, in: document)
        let isRepeated = next.map { followed.contains($0) } ?? false
        if isRepeated, let last = parts.last, last.bytes.elementsEqual(part.bytes) { return nil }
        parts.append(part)
        byteCount += part.bytes.count
        if let list = part.value(member, of: part.root) {
            itemCount += part.elements(of: list).reduce(0) { count, _ in count + 1 }
        }
        if method == .listTools { tools.addTools(result, in: document) }
        return isRepeated ? nil : next
    }

    /// A number goes back as the number that it is. Nothing else is a cursor.
    private func nextCursor(of result: JSONValue, in document: JSONDocument) -> [UInt8]? {
        guard let value = document.value("nextCursor", of: result), value.kind == .string || value.kind == .number
        else { return nil }
        return Array(document.raw(value))
    }

    private func translatedItem(
        _ result: JSONValue, in document: JSONDocument
    ) throws(TranslationError) -> JSONDocument {
        var spliced = SplicedText(capacity: result.count + 256)
        try ResultTranslation.appendResult(result, in: document, of: method, with: context, to: &spliced)
        var text: [UInt8] = []
        spliced.append(to: &text)
        return try ListAssembly.documentOfPart(text)
    }

    /// The text of a page, in which only the outer object is looked at again.
    static func documentOfPart(_ text: [UInt8]) throws(TranslationError) -> JSONDocument {
        do throws(JSONTextError) {
            // To remember the items' members would take more than the text.
            return try JSONDocument(text, maxDepth: .max, recording: 1)
        } catch {
            throw .tooLong
        }
    }

    /// The first page of the server as it is, for a list that is not put together.
    package var firstPart: ListPage {
        guard let first = parts.first, !ownItems.isEmpty else {
            return ListPage(parts.first ?? ListAssembly.nothing, start: 0)
        }
        var items = ownItems
        if let list = first.value(member, of: first.root) {
            items += first.elements(of: list).map { Array(first.raw($0)) }
        }
        return makePage(Array(items.joined(separator: [UInt8(ascii: ",")])), start: 0)
    }

    /// The whole list, in as few pages as there can be.
    ///
    /// - Parameter size: bytes of a page's items. A single item may be larger.
    package func makePages(of size: Int) -> [ListPage] {
        let first = firstPart
        // The list of most servers: one page, which stays as it is, whatever is between its items.
        if parts.count == 1, ownItems.isEmpty, first.size <= size { return [first] }
        var pages: [ListPage] = []
        var start = 0
        var count = 0
        var items: [UInt8] = []
        forEachItem { item in
            if count > 0, items.count + item.count > size {
                pages.append(makePage(items, start: start))
                start += count
                count = 0
                items = []
            }
            if count > 0 { items.append(UInt8(ascii: ",")) }
            items.append(contentsOf: item)
            count += 1
        }
        pages.append(makePage(items, start: start))
        return pages
    }

    /// The text of all items, in which two lists differ when they differ in any byte of any item, or in their order.
    package var text: [UInt8] {
        var text: [UInt8] = []
        forEachItem { item in
            text.append(contentsOf: item)
            text.append(UInt8(ascii: ","))
        }
        return text
    }

    private func forEachItem(_ body: (ArraySlice<UInt8>) -> Void) {
        for item in ownItems { body(item[...]) }
        for part in parts {
            guard let list = part.value(member, of: part.root) else { continue }
            for item in part.elements(of: list) { body(part.raw(item)) }
        }
    }

    private func makePage(_ items: [UInt8], start: Int) -> ListPage {
        let template = parts.first ?? ListAssembly.nothing
        var splice = JSONSplice(template)
        splice.setMember(member, to: [UInt8(ascii: "[")] + items + [UInt8(ascii: "]")], in: template.root, at: .start)
        splice.removeMembers("nextCursor", from: template.root)
        var text: [UInt8] = []
        splice.renderedText(template.root).append(to: &text)
        // What is put together of JSON is JSON, and shorter than a text may be.
        return ListPage((try? ListAssembly.documentOfPart(text)) ?? template, start: start)
    }
}
