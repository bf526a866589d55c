import MCP
import Translation

/// How sessions are opened with a command.
extension CommandBackend: SessionOpener, ChannelOpener {
    func open(
        _ introduction: Introduction, credentials: Credentials
    ) async throws(BackendError) -> (any SessionTransport, Handshake) {
        while true {
            let offered = introduction.revision
            let transport = try ready()
            do throws(BackendError) {
                let handshake = try await transport.open(introduction, credentials: credentials)
                succeeded()
                return (transport, handshake)
            } catch {
                // A process that ended over a revision that it does not know is followed by one that is offered the next.
                if !error.isRefusal, introduction.revision != offered {
                    await transport.isGone()
                } else {
                    await failed(error) { await transport.isGone() }
                    throw error
                }
            }
        }
    }

    func openChannel(
        _ initialize: [UInt8], id: MessageID, credentials: Credentials, unless abandonment: Abandonment
    ) async throws(BackendError) -> (any ChannelTransport, ClientAgreement) {
        let transport = try ready()
        do throws(BackendError) {
            let agreement = try await transport.carry(
                initialize, id: id, credentials: credentials, unless: abandonment)
            succeeded()
            return (transport, agreement)
        } catch {
            await failed(error) { await transport.isGone() }
            throw error
        }
    }

    private func ready() throws(BackendError) -> StdioTransport {
        try checkPause()
        return StdioTransport(to: self)
    }
}
