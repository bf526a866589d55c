package import Crypto

/// What calls must have in common to share a session. A session never serves two principals.
package struct SessionKey: Hashable, Sendable {
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

    /// Without the roots: keys that differ in these alone are few.
    package func hash(into hasher: inout Hasher) {
        hasher.combine(principal)
        hasher.combine(capabilities)
    }
}
