import MCP
import Translation

/// How sessions are opened with a command.
extension CommandBackend: SessionOpener, ChannelOpener {
    func openTransport(
        _ introduction: Introduction, credentials: Credentials
    ) async throws(BackendError) -> (any SessionTransport, Handshake) {
        while true {
            let offered = introduction.revision
            let transport = try readyTransport()
            do throws(BackendError) {
                let handshake = try await transport.openSession(introduction, credentials: credentials)
                noteSession()
                return (transport, handshake)
            } catch {
                // A process that ended over a revision that it does not know is followed by one that is offered the next.
                if !error.isRefusal, introduction.revision != offered {
                    await transport.isGone()
                } else {
                    await noteFailedStart(error) { await transport.isGone() }
                    throw error
                }
            }
        }
    }

    func openChannel(
        _ initialize: [UInt8], id: MessageID, credentials: Credentials, unless abandonment: Abandonment
    ) async throws(BackendError) -> (any ChannelTransport, ClientAgreement) {
        let transport = try readyTransport()
        do throws(BackendError) {
            let agreement = try await transport.openForClient(
                initialize, id: id, credentials: credentials, unless: abandonment)
            noteSession()
            return (transport, agreement)
        } catch {
            await noteFailedStart(error) { await transport.isGone() }
            throw error
        }
    }

    private func readyTransport() throws(BackendError) -> StdioTransport {
        try checkPause()
        return StdioTransport(to: self)
    }
}
