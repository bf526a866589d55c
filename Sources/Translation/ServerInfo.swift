import JSONText

/// The name and version of a server, ready for the results that carry them.
///
/// A class: it never changes, and each answer takes it.
package final class ServerInfo: Sendable, Equatable {
    /// As the server spelled it.
    package let text: [UInt8]
    /// The member `_meta` of a result that has no other: most have none, so it is made once.
    let meta: [UInt8]

    /// Of a server that has said nothing yet.
    package static let unknown = ServerInfo(Array(#"{"name":"unknown","version":"unknown"}"#.utf8))

    /// In the place of what the server does not say.
    private static let unknownText = Array(#""unknown""#.utf8)

    /// What a server says of itself, byte for byte, where `name` and `version` are the strings that clients demand
    /// (2026-07-28, schema `Implementation`); else as much of it as there is.
    convenience init(_ value: JSONValue?, in document: JSONDocument) {
        guard let value, value.kind == .object else {
            self.init(ServerInfo.unknown.text)
            return
        }
        var splice = JSONSplice(document)
        var isChanged = false
        for name in ["name", "version"] as [StaticString] {
            let member = document.value(name, of: value)
            if member?.kind == .string { continue }
            let isNumber = member?.kind == .number
            let text = isNumber ? member.map { [0x22] + document.raw($0) + [0x22] } : nil
            splice.setMember(name, to: text ?? ServerInfo.unknownText, in: value, at: .end)
            isChanged = true
        }
        guard isChanged else {
            self.init(Array(document.raw(value)))
            return
        }
        var text: [UInt8] = []
        splice.renderedText(value).append(to: &text)
        self.init(text)
    }

    /// - Parameter text: an object with the strings `name` and `version`.
    package init(_ text: [UInt8]) {
        self.text = text
        var meta: [UInt8] = []
        meta.append(#""_meta":{"io.modelcontextprotocol/serverInfo":"#)
        meta.append(contentsOf: text)
        meta.append("}")
        self.meta = meta
    }

    package static func == (left: ServerInfo, right: ServerInfo) -> Bool { left.text == right.text }

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
