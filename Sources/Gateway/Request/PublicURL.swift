/// The address of the MCP endpoint as clients know it.
package struct PublicURL: Sendable, Equatable {
    /// `scheme://host[:port]`.
    package let origin: String
    /// Begins with `/`.
    package let path: String

    package init(origin: String, path: String) {
        self.origin = origin
        self.path = path
    }

    var url: String { origin + path }
}
