package import Crypto

/// What calls must have in common to share a session. A session never serves two principals.
package struct SessionKey: Hashable, Sendable {
    /// Who calls: a keyed hash of the credentials.
    package let principal: KeyedHash
    /// The client capabilities that `initialize` declares, in canonical JSON.
    package let capabilities: [UInt8]

    package init(principal: KeyedHash, capabilities: [UInt8]) {
        self.principal = principal
        self.capabilities = capabilities
    }
}
