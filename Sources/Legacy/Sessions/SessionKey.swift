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
    /// Tells the session of a handle from all others of the loop; 0 where any call of the caller may use the session.
    package let handle: UInt64

    package init(principal: KeyedHash, capabilities: [UInt8], roots: [UInt8] = [], handle: UInt64 = 0) {
        self.principal = principal
        self.capabilities = capabilities
        self.roots = roots
        self.handle = handle
    }

    /// Whether its session is a handle's: only calls with the handle use it, and no other takes its place.
    package var isOfHandle: Bool { handle != 0 }

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
            || left.handle == right.handle && left.principal == right.principal
                && left.capabilities == right.capabilities && left.roots == right.roots
    }

    /// Without the roots: keys that differ in these alone are few.
    package func hash(into hasher: inout Hasher) {
        hasher.combine(principal)
        hasher.combine(capabilities)
        if isOfHandle { hasher.combine(handle) }
    }
}
