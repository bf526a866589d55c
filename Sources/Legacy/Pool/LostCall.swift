package import MCP
import Reactor
import Translation

extension LegacySession {
    /// Where a call was when the process was lost that had it.
    package struct Lost: Sendable {
        package let sessionID: [UInt8]
        /// As ``LegacySession/cookieField`` had them.
        package let cookies: [UInt8]
        /// Of the session.
        package let revision: Revision
        /// Of the call toward the server.
        package let requestID: Int
        /// Of its stream; empty where there was none.
        package let lastEventID: [UInt8]

        /// - Parameter sessionID: visible ASCII.
        package init(sessionID: [UInt8], cookies: [UInt8], revision: Revision, requestID: Int, lastEventID: [UInt8]) {
            self.sessionID = sessionID
            self.cookies = cookies
            self.revision = revision
            self.requestID = requestID
            self.lastEventID = lastEventID
        }
    }

    /// Takes up a call of another process, and the session with it; nil where the server does not let it (2025-11-25,
    /// basic/transports, "Resumability and Redelivery").
    ///
    /// - Parameter own: another session with the same server, of the same revision, for the same client.
    static func resumeLostCall(
        _ lost: Lost, like own: LegacySession, on backend: Backend, credentials: Credentials, until end: Instant,
        observer: any CallObserver
    ) async -> (session: LegacySession, call: LegacyCall)? {
        let transport = StreamableHTTP(
            to: backend, at: (own.transport as? StreamableHTTP)?.target, sessionID: lost.sessionID,
            cookies: lost.cookies, revision: lost.revision,
            credentials: credentials)
        let session = own.adoptSession(over: transport, to: backend, credentials)
        let call = transport.resumeCall(
            LegacyCall.Terms(
                id: lost.requestID, session: session, credentials: credentials, end: end, observer: observer),
            after: lost.lastEventID)
        session.takeOver(call)
        guard await call.isTakenUp() else {
            call.failCall(with: BackendError(.sessionLost, "the server does not take up the stream"))
            session.callEnded(call)
            return nil
        }
        transport.listenForMessages(for: session, credentials: credentials)
        return (session, call)
    }
}

extension SessionPool {
    /// Cancels a call of a lost process on the server, which would go on waiting for the call's client.
    package func cancelLostCall(_ lost: LegacySession.Lost, credentials: Credentials) {
        let text = ServerRequest.cancelNotification(
            requestID: lost.requestID,
            reason: "the replica that had the call is gone")
        loop.spawn { [backends] in
            // The copy that has the session is not known here; the others say that they do not know it.
            for backend in backends.overHTTP {
                let transport = StreamableHTTP(
                    to: backend, sessionID: lost.sessionID, cookies: lost.cookies, revision: lost.revision,
                    credentials: credentials)
                try? await transport.sendNotification(text, credentials: credentials)
            }
        }
    }
}
