import Crypto
import JSONText
import Legacy
import MCP
package import Translation

/// What servers are told of clients, by what a client calls itself. The name is the client's own word: it chooses among what
/// the operator has written, and tells no callers apart.
package final class ClientProfiles: Sendable {
    package typealias Named = (name: String, rules: DeclarationRules)

    private let standard: DeclarationRules
    private let named: [(name: [UInt8], rules: DeclarationRules)]
    /// Whether every client's own words go on unchanged.
    let changesNothing: Bool

    /// - Parameters:
    ///   - standard: of every client that is none of the others.
    ///   - named: by `clientInfo.name`.
    package init(_ standard: DeclarationRules, named: [Named] = []) {
        self.standard = standard
        self.named = named.map { (Array($0.name.utf8), $0.rules) }
        changesNothing = standard.changesNothing && named.allSatisfy(\.rules.changesNothing)
    }

    private func declarationRules(for request: ModernRequest) -> DeclarationRules {
        let document = request.document
        guard !named.isEmpty, let info = document.value(MetaKey.clientInfo, of: request.meta, .object),
            let name = document.value("name", of: info, .string)
        else { return standard }
        return named.first { document.string(name, equals: $0.name.span) }?.rules ?? standard
    }

    /// What a session for a request declares, and what the client can be asked on it.
    ///
    /// A class: it never changes and is handed around a lot.
    final class Declaration: Sendable {
        let ofClient: InputCapabilities
        let ofSession: [UInt8]
        /// As of ``SessionKey/roots``.
        let roots: [UInt8]

        init(ofClient: InputCapabilities, ofSession: [UInt8], roots: [UInt8]) {
            self.ofClient = ofClient
            self.ofSession = ofSession
            self.roots = roots
        }

        /// Of a client that declares nothing.
        static let none = Declaration(ofClient: .none, ofSession: Array("{}".utf8), roots: [])
    }

    /// - Parameter canBeAsked: whether the server may ask during calls.
    func readDeclaration(of request: ModernRequest, canBeAsked: Bool) -> Declaration {
        let rules = declarationRules(for: request)
        let trimmed =
            rules.changesNothing ? nil : rules.trimmedCapabilities(request.clientCapabilities, in: request.document)
        let document = trimmed ?? request.document
        let capabilities = trimmed.map(\.root) ?? request.clientCapabilities
        return Declaration(
            ofClient: InputCapabilities(capabilities, in: document),
            ofSession: ClientCapabilities.legacyCapabilities(
                capabilities, in: document, canBeAsked: canBeAsked, hasRoots: !rules.roots.isEmpty),
            roots: rules.roots)
    }

    /// The key of the sessions that a request may use.
    ///
    /// - Parameter known: that of another request, which is nearly always the same.
    func sessionKey(
        for request: ModernRequest, of principal: KeyedHash, canBeAsked: Bool, known: SessionKey? = nil
    ) -> SessionKey {
        if changesNothing {
            let capabilities = ClientCapabilities.legacyCapabilities(
                request.clientCapabilities, in: request.document, canBeAsked: canBeAsked)
            return .of(principal, capabilities: capabilities, roots: [], known: known)
        }
        let declaration = readDeclaration(of: request, canBeAsked: canBeAsked)
        return .of(principal, capabilities: declaration.ofSession, roots: declaration.roots, known: known)
    }
}
