import Crypto
import Translation

/// A list as the server gave it at one time.
struct ListSnapshot {
    /// Never empty.
    private(set) var pages: [ListPage]
    /// Of all items. Empty where there is one page only, to which no cursor leads.
    let digest: [UInt8]
    /// The server's cursor behind the last of `makePages`, where the list was too long to be put together.
    let continuation: [UInt8]?
    /// What the tools say, where it lists tools.
    let tools: ToolFacts
    /// Of the server that gave it, as it spelled it.
    let serverInfo: ServerInfo

    /// A whole list.
    ///
    /// - Parameter pageSize: bytes of a page's items.
    init(_ assembly: ListAssembly, pageSize: Int, from serverInfo: ServerInfo) {
        pages = assembly.makePages(of: pageSize)
        digest = pages.count == 1 ? [] : Array(SHA256.digest(assembly.text).prefix(ListCursor.digestSize))
        continuation = nil
        tools = assembly.tools
        self.serverInfo = serverInfo
    }

    /// The server's own page, and its cursor to the next one, if there is one.
    init(firstOf assembly: ListAssembly, continuation: [UInt8]?, from serverInfo: ServerInfo) {
        pages = [assembly.firstPart]
        digest = []
        self.continuation = continuation
        tools = assembly.tools
        self.serverInfo = serverInfo
    }

    /// The list with another page in the place of its last one.
    func withLastPage(_ page: ListPage) -> ListSnapshot {
        var other = self
        other.pages[other.pages.count - 1] = page
        return other
    }

    /// Bytes that it takes.
    var size: Int { pages.reduce(0) { $0 + $1.size } }

    /// What leads to the page after this one; nil after the last.
    func nextCursor(after index: Int) -> ListCursor? {
        if index + 1 < pages.count { return .item(digest: digest, start: pages[index + 1].start) }
        return continuation.map { .page(cursor: $0) }
    }

    /// The page with this item at its start; `nil`: this is another list, or it has no page that starts there.
    func pageIndex(digest: [UInt8], start: Int) -> Int? {
        guard digest == self.digest else { return nil }
        return pages.firstIndex { $0.start == start }
    }
}
