package import JSONText
import MCP

/// The capabilities of a modern client as `initialize` declares them.
package enum ClientCapabilities {
    private static let none = Array("{}".utf8)

    /// Canonical JSON, so that equal capabilities share a session however they were spelled.
    ///
    /// `roots`, `sampling` and `elicitation` are left out: a server that asks during a call needs a session that serves
    /// this call alone, and none is made yet. A server then knows that it cannot ask, and says so in its own words.
    /// The tasks extension is left out because a client of 2026-07-28 no longer hosts tasks, `experimental` because
    /// what it means is between two parties that Remora is neither of.
    package static func legacy(_ capabilities: JSONValue?, in document: JSONDocument) -> [UInt8] {
        guard let capabilities, let extensions = document.value("extensions", of: capabilities, .object)
        else { return none }
        let tasks = document.members(of: extensions).filter {
            document.name(of: $0, equals: MetaKey.tasksExtension)
        }
        let count = document.members(of: extensions).reduce(0) { count, _ in count + 1 }
        guard count > tasks.count else { return none }
        var splice = JSONSplice(document)
        splice.remove(MetaKey.tasksExtension, from: extensions)
        var kept = [UInt8]()
        splice.rendered(extensions).append(to: &kept)
        guard let canonical = try? JSONDocument(kept, maxDepth: .max) else {
            preconditionFailure("removing a member broke the text")
        }
        var text = Array(#"{"extensions":"#.utf8)
        canonical.canonical(of: canonical.root, into: &text)
        text.append(UInt8(ascii: "}"))
        return text
    }
}
