import JSONText
package import MCP

/// The extensions of a server (2026-07-28, basic/versioning, "Extension Negotiation").
extension Handshake {
    /// Whether an extension that the server declared has the method; false for methods of the specification itself.
    package func offersExtension(with method: Method) -> Bool {
        switch method {
        case .listSkills, .getSkill: return skills != nil
        case .readDirectory:
            // "Clients MUST NOT call it against a server that has not declared directoryRead" (ext-skills).
            return skills.flatMap { document.value("directoryRead", of: $0) }.flatMap { document.boolean($0) } == true
        case .vendor: return hasUnknownExtension
        default: return false
        }
    }

    /// The settings of the extension for skills, of whatever type they are.
    private var skills: JSONValue? {
        declaredExtension("extensions").flatMap { document.value(MetaKey.skillsExtension, of: $0) }
            .flatMap { Handshake.isDeclared($0, in: document) ? $0 : nil }
    }

    /// Whether there is one whose methods Remora does not know. `experimental` was the place for them before 2025-11-25 had
    /// `extensions`.
    private var hasUnknownExtension: Bool {
        let names: [StaticString] = ["extensions", "experimental"]
        return names.compactMap { declaredExtension($0) }.contains { map in
            document.hasMember(of: map) { member in
                Handshake.isDeclared(member.value, in: document)
                    && !Handshake.known.contains { document.name(of: member, equals: $0) }
            }
        }
    }

    private func declaredExtension(_ name: StaticString) -> JSONValue? {
        document.value("capabilities", of: result).flatMap { document.value(name, of: $0, .object) }
    }

    /// `null` and `false` say that there is none; anything else says that there is one.
    static func isDeclared(_ value: JSONValue, in document: JSONDocument) -> Bool {
        value.kind != .null && document.boolean(value) != false
    }

    /// Extensions of which all methods have a case of `Method`, or that have none.
    private static let known: [StaticString] = [
        MetaKey.skillsExtension, MetaKey.tasksExtension, MetaKey.appsExtension,
    ]
}
