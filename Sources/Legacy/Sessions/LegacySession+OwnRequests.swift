package import MCP
package import Reactor
import Translation

/// Requests that Remora makes on its own account.
extension LegacySession {
    /// Asks for a page of a list.
    ///
    /// - Parameter cursor: as the server spelled it; nil for the first page.
    package func requestList(
        _ method: Method, cursor: [UInt8]?, credentials: Credentials, until end: Instant
    ) -> LegacyCall {
        let call = beginCall(
            { ServerRequest.listRequest(method, id: $0, cursor: cursor) }, credentials: credentials, until: end)
        // A list is no work, and calls of tools wait for one.
        call.resumeTimeout(until: end, silence: patience)
        return call
    }

    /// Has the server send log messages from `level` on, as far as it sends any. A server that does not obey is not
    /// worth an error: the call is what the client wants.
    package func setLogLevel(from level: LoggingLevel, credentials: Credentials) async {
        await logging.lowerLevel(to: level) { level in
            _ = try? await beginCall(
                { ServerRequest.setLevel(level, id: $0) }, credentials: credentials,
                until: .now + LegacySession.askTimeout
            ).waitForResponse()
        }
    }

    /// Asks the server to tell of changes of a resource (2025-11-25, server/resources, "Subscriptions").
    ///
    /// - Parameter uri: in UTF-8.
    /// - Returns: whether the server agreed.
    package func subscribeResource(to uri: [UInt8], credentials: Credentials) async -> Bool {
        // Requests on two connections have no order.
        while let unsubscribed = unsubscribing[uri] { await unsubscribed.wait() }
        let call = beginCall(
            { ServerRequest.subscribeRequest(to: uri, id: $0) }, credentials: credentials,
            until: .now + LegacySession.askTimeout)
        guard case .result = try? await call.waitForResponse().outcome else { return false }
        return true
    }

    /// Asks the server not to tell of changes of a resource any more. The response is not waited for.
    package func unsubscribeResource(from uri: [UInt8], credentials: Credentials) {
        // Another replica may have subscribed too, and the server counts once.
        if place != nil { return }
        let call = beginCall(
            { ServerRequest.unsubscribeRequest(from: uri, id: $0) }, credentials: credentials,
            until: .now + LegacySession.askTimeout)
        let answered = Wakeup()
        unsubscribing[uri] = answered
        loop.spawn {
            _ = try? await call.waitForResponse()
            if self.unsubscribing[uri] === answered { self.unsubscribing[uri] = nil }
            answered.signal()
        }
    }

    /// Asks for a sign of life.
    func sendPing() -> LegacyCall {
        beginCall(
            { ServerRequest.pingRequest(id: $0) }, credentials: credentials, until: .now + LegacySession.askTimeout)
    }
}
