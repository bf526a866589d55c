import MCP

/// What a `nextCursor` of Remora leads to. Clients get it sealed.
enum ListCursor: Equatable {
    /// An item of a list that was put together.
    ///
    /// - Parameters:
    ///   - digest: of the whole list, ``digestSize`` bytes. Where another replica reads the same list, it can go on.
    ///   - start: how many items are before it.
    case item(digest: [UInt8], start: Int)
    /// A page that the server has to give, by the cursor as it spelled it.
    case page(cursor: [UInt8])

    /// Enough that no two lists have the same by chance.
    static let digestSize = 16

    /// As what is sealed.
    ///
    /// - Parameter method: the list that it belongs to.
    func sealedBytes(for method: Method) -> [UInt8] {
        let head = [ListCursor.methodNumber(of: method) ?? 0]
        switch self {
        case .item(let digest, let start):
            let place = [24, 16, 8, 0].map { UInt8(truncatingIfNeeded: start >> $0) }
            return head + [0] + digest + place
        case .page(let cursor):
            return head + [1] + cursor
        }
    }

    /// What ``sealedBytes(for:)`` made, for the same method.
    init?(_ bytes: [UInt8], for method: Method) {
        guard bytes.count >= 2, let number = ListCursor.methodNumber(of: method), bytes[0] == number else { return nil }
        let rest = bytes.dropFirst(2)
        switch bytes[1] {
        case 0 where rest.count == ListCursor.digestSize + 4:
            self = .item(
                digest: Array(rest.prefix(ListCursor.digestSize)),
                start: rest.suffix(4).reduce(0) { $0 << 8 | Int($1) })
        case 1:
            self = .page(cursor: Array(rest))
        default:
            return nil
        }
    }

    /// Part of what is sealed: a number keeps its meaning. Nil for a method that lists nothing, whose cursors open for none.
    private static func methodNumber(of method: Method) -> UInt8? {
        switch method {
        case .listTools: 1
        case .listPrompts: 2
        case .listResources: 3
        case .listResourceTemplates: 4
        case .callTool, .readResource, .getPrompt, .complete, .discover, .listen: nil
        case .getTask, .updateTask, .cancelTask, .listSkills, .getSkill, .readDirectory, .vendor: nil
        }
    }
}
