package import Crypto

/// What calls must have in common to share a session. A session never serves two principals.
///
/// A class: it never changes and is handed around a lot.
package final class SessionKey: Hashable, Sendable {
    /// Who calls: a keyed hash of the credentials.
    package let principal: KeyedHash
    /// The client capabilities that `initialize` declares, in canonical JSON.
    package let capabilities: [UInt8]
    /// The result by which `roots/list` is answered for the client; empty where the client itself is asked.
    package let roots: [UInt8]

    package init(principal: KeyedHash, capabilities: [UInt8], roots: [UInt8] = []) {
        self.principal = principal
        self.capabilities = capabilities
        self.roots = roots
    }

    /// The key of these; `known` itself, where that is the same.
    package static func of(
        _ principal: KeyedHash, capabilities: [UInt8], roots: [UInt8], known: SessionKey?
    ) -> SessionKey {
        if let known, known.principal == principal, known.capabilities == capabilities, known.roots == roots {
            return known
        }
        return SessionKey(principal: principal, capabilities: capabilities, roots: roots)
    }

    package static func == (left: SessionKey, right: SessionKey) -> Bool {
        left === right
            || left.principal == right.principal && left.capabilities == right.capabilities && left.roots == right.roots
    }

    /// Without the roots: keys that differ in these alone are few.
    package func hash(into hasher: inout Hasher) {
        hasher.combine(principal)
        hasher.combine(capabilities)
    }
}
