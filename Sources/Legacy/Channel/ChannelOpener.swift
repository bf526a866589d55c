import MCP

/// A server at which clients of older revisions can have channels of their own.
protocol ChannelOpener: LegacyServer {
    /// Opens a channel for an older client, which sends its own `initialize`.
    ///
    /// - Parameters:
    ///   - id: of that request.
    ///   - abandonment: ends it before it is open.
    func openChannel(
        _ initialize: [UInt8], id: MessageID, credentials: Credentials, unless abandonment: Abandonment
    ) async throws(BackendError) -> (any ChannelTransport, ClientAgreement)
}
