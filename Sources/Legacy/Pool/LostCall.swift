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
}

extension SessionPool {
    /// Tells the server that nobody waits any more for a call of a process that is gone: it would go on waiting for its client.
    package func cancel(_ lost: LegacySession.Lost, credentials: Credentials) {
        let text = ServerRequest.cancelled(
            requestID: lost.requestID, reason: "whoever had the call is gone, and with it the way of its answers")
        loop.spawn { [backends] in
            // Nobody here knows which copy has the session; the others say that they do not know it.
            for backend in backends.overHTTP {
                let transport = StreamableHTTP(
                    to: backend, sessionID: lost.sessionID, cookies: lost.cookies, revision: lost.revision,
                    credentials: credentials)
                try? await transport.notify(text, credentials: credentials)
            }
        }
    }
}
