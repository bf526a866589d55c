import JSONText

/// The name and version of a server, ready for the results that carry them.
package struct ServerInfo: Sendable, Equatable {
    /// As the server spelled it.
    package let text: [UInt8]
    /// The member `_meta` of a result that has no other: most have none, so it is made once.
    let meta: [UInt8]

    /// - Parameter text: an object, as the server spelled it.
    package init(_ text: [UInt8]) {
        self.text = text
        var meta: [UInt8] = []
        meta.append(#""_meta":{"io.modelcontextprotocol/serverInfo":"#)
        meta.append(contentsOf: text)
        meta.append("}")
        self.meta = meta
    }

    /// What a person calls it; empty where the server says nothing.
    package var nameAndVersion: (name: String, version: String) {
        guard let document = try? JSONDocument(text) else { return ("", "") }
        func value(_ member: StaticString) -> String {
            document.value(member, of: document.root).flatMap { document.string($0) } ?? ""
        }
        return (value("name"), value("version"))
    }

    /// The value of ``meta``.
    var metaValue: [UInt8] { Array(meta.dropFirst(#""_meta":"#.utf8.count)) }
}
