package import HTTPWire

extension HTTPServerConnection {
    package struct Limits: Sendable {
        package var head: HTTPLimits
        /// Bytes of a request body.
        package var maxBody: Int
        /// From the first byte of a request to the end of its head. Bounds clients that send a byte at a time.
        package var headerTimeout: Duration
        /// From the end of the head to the end of the body.
        package var bodyTimeout: Duration
        /// How long a connection may be silent between two requests, and how long a client may take nothing of an
        /// answer.
        package var idleTimeout: Duration
        /// After how long without a byte of an answer `onSilence` is called.
        package var keepAliveInterval: Duration

        package init(
            head: HTTPLimits = HTTPLimits(), maxBody: Int, headerTimeout: Duration, bodyTimeout: Duration,
            idleTimeout: Duration, keepAliveInterval: Duration = .seconds(15)
        ) {
            self.head = head
            self.maxBody = maxBody
            self.headerTimeout = headerTimeout
            self.bodyTimeout = bodyTimeout
            self.idleTimeout = idleTimeout
            self.keepAliveInterval = keepAliveInterval
        }
    }
}
