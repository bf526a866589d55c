import JSONText

/// Items of other lists that go into a list: what only some sessions of a client have.
package struct ListUnion {
    private let member: StaticString
    private var names: Set<[UInt8]> = []
    private var added: [UInt8] = []
    private let maxSize: Int

    /// - Parameters:
    ///   - pages: of the list that gets the items.
    ///   - member: holds the items, which have names.
    ///   - maxSize: bytes of the items that are added.
    package init(of pages: [ListPage], member: StaticString, maxSize: Int) {
        self.member = member
        self.maxSize = maxSize
        for page in pages { page.forEachNamedItem(of: member) { name, _ in names.insert(name) } }
    }

    /// Adds what the list does not have yet.
    package mutating func addItems(of pages: [ListPage]) {
        for page in pages {
            page.forEachNamedItem(of: member) { name, text in
                guard added.count + text.count <= maxSize, names.insert(name).inserted else { return }
                added.append(",")
                added += text
            }
        }
    }

    /// A page with what was added behind its own items.
    package func extendedPage(_ page: ListPage) -> ListPage {
        let document = page.document
        guard !added.isEmpty, let list = document.value(member, of: document.root, .array) else { return page }
        let isEmpty = document.elements(of: list).first { _ in true } == nil
        var splice = JSONSplice(document)
        let items = Array(document.raw(list).dropLast()) + added.dropFirst(isEmpty ? 1 : 0) + [UInt8(ascii: "]")]
        splice.replaceValue(list, with: items)
        var text: [UInt8] = []
        splice.renderedText(document.root).append(to: &text)
        guard let extended = try? ListAssembly.documentOfPart(text) else { return page }
        return ListPage(extended, start: page.start)
    }
}

extension ListPage {
    fileprivate func forEachNamedItem(of member: StaticString, _ body: ([UInt8], ArraySlice<UInt8>) -> Void) {
        guard let list = document.value(member, of: document.root) else { return }
        for item in document.elements(of: list) {
            guard let name = document.value("name", of: item).flatMap({ document.stringBytes($0) }) else { continue }
            body(name, document.raw(item))
        }
    }
}
