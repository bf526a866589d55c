extension Configuration {
    /// The bound of everything that a peer could otherwise make grow or last. Sizes are bytes.
    package struct Limits: Sendable, Equatable {
        /// The body of a client's request: 1 KiB to 1 GiB.
        package var maxBody: Int
        /// Request line and fields of a message, from either side: 1 KiB to 1 MiB.
        package var maxHead: Int
        /// One message of the backend, a JSON body or one SSE event: 1 KiB to 1 GiB.
        package var maxResponse: Int
        /// Bytes of a stream that its client has not taken yet, before the backend has to wait: 1 KiB to 64 MiB.
        package var streamBuffer: Int
        /// Nesting of arrays and objects in JSON, from either side: 8 to 1024.
        package var maxDepth: Int
        /// Client connections open at once, on all threads together: 1 to 1 000 000.
        package var maxConnections: Int
        /// From the first byte of a request to the end of its head: 100 ms to 10 minutes.
        package var headerTimeout: Duration
        /// From the end of a request's head to the end of its body: 100 ms to 1 hour.
        package var bodyTimeout: Duration
        /// How long a client connection is kept with no request on it: 100 ms to 1 hour.
        package var idleTimeout: Duration
        /// From a call's arrival to its answer, whatever happens meanwhile: 100 ms to 24 hours.
        package var requestTimeout: Duration
        /// How long the backend may be silent during a call: 100 ms to 24 hours.
        package var backendIdleTimeout: Duration
        /// How long the backend may take to answer `initialize`, and to take a message that it has no work with: 100 ms to 1
        /// hour; never longer than ``backendIdleTimeout``.
        package var handshakeTimeout: Duration
        /// How long connecting to the backend may take: 100 ms to 5 minutes.
        package var connectTimeout: Duration
        /// How long an answer may be silent before it becomes a stream with a sign of life: 100 ms to 10 minutes.
        package var keepAliveInterval: Duration
        /// How long the end may take after SIGTERM, calls in flight and the end of all sessions included: 0 to 1 hour.
        package var shutdownTimeout: Duration
    }
}

extension Configuration.Limits {
    init(_ section: inout Section) {
        // Arguments of a tool: text, or a file of some MB in base64. Each request in flight may hold this much memory.
        maxBody = section.value("max_body", .size(.kibibytes(1) ... .gibibytes(1)), default: .mebibytes(8))
        // Room for a large token and cookies; common servers stop at 8 to 16 KiB.
        maxHead = section.value("max_head", .size(.kibibytes(1) ... .mebibytes(1)), default: .kibibytes(16))
        // A result may be a document or an image in base64, and the backend is trusted more than a client.
        maxResponse = section.value("max_response", .size(.kibibytes(1) ... .gibibytes(1)), default: .mebibytes(64))
        // A burst of progress or log messages; a client that reads at all takes this at once.
        streamBuffer = section.value("stream_buffer", .size(.kibibytes(1) ... .mebibytes(64)), default: .kibibytes(256))
        // Far above real messages; recursive parsers behind us run out of stack near 1000.
        maxDepth = section.value("max_depth", .integer(8...1024), default: 128)
        // Each takes a descriptor and some KB: more than a sidecar sees, and still tens of MB if all are idle.
        maxConnections = section.value("max_connections", .integer(1...1_000_000), default: 10_000)
        // A head is one or two packets; what takes longer is a broken link or a slow-header attack.
        headerTimeout = section.value("header_timeout", .duration(.shortest ... .minutes(10)), default: .seconds(10))
        // max_body at 2.2 Mbit/s, a poor mobile link.
        bodyTimeout = section.value("body_timeout", .duration(.shortest ... .hours(1)), default: .seconds(30))
        // Above the 60 s of common load balancers, so that they close first and no request meets a closing connection.
        idleTimeout = section.value("idle_timeout", .duration(.shortest ... .hours(1)), default: .seconds(75))
        // The longest tool runs and builds; a call that has lost its backend must still end some time.
        requestTimeout = section.value("request_timeout", .duration(.shortest ... .hours(24)), default: .minutes(30))
        // The call's own time: many tools say nothing until they have finished, and a legacy client waits for them.
        backendIdleTimeout = section.value(
            "backend_idle_timeout", .duration(.shortest ... .hours(24)), default: requestTimeout)
        // What the TypeScript SDK allows; a program that has to be fetched first may need more.
        handshakeTimeout = min(
            section.value("handshake_timeout", .duration(.shortest ... .hours(1)), default: .seconds(60)),
            backendIdleTimeout)
        // On the same host it takes less than 1 ms; 5 s outlasts a few lost SYN packets.
        connectTimeout = section.value("connect_timeout", .duration(.shortest ... .minutes(5)), default: .seconds(5))
        // A quarter of the idle timeout of common load balancers.
        keepAliveInterval = section.value(
            "keep_alive_interval", .duration(.shortest ... .minutes(10)), default: .seconds(15))
        // Kubernetes' own grace period. 0 ends calls in flight at once.
        shutdownTimeout = section.value("shutdown_timeout", .duration(.zero ... .hours(1)), default: .seconds(30))
    }
}

extension Duration {
    /// The lower bound of timeouts: below it a healthy peer on a busy machine would be cut off.
    static let shortest = Duration.milliseconds(100)
}
