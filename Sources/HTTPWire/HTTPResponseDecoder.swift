/// Takes the bytes that a server sends apart into responses (RFC 9112), one connection each.
///
/// It keeps the bytes of an incomplete head and nothing else: the pieces of a body are ranges of the input, and between
/// responses it holds no memory. It does not know the requests: no response may be one to `HEAD` or `CONNECT`, and bytes
/// that come while no request is open are for the caller to refuse.
package struct HTTPResponseDecoder: ~Copyable, Sendable {
    /// What the end of the connection ended.
    package enum Close: Sendable, Equatable {
        /// Nothing: it came between responses.
        case idle
        /// A body of ``HTTPBodyLength/untilClose``, which is complete now.
        case message
    }

    private enum State: Sendable {
        /// Between messages or in a head. Next: `body`.
        case head
        /// In a body. Next: `head`.
        case body(BodyDecoder)
        /// The peer broke the protocol. Final.
        case failed(HTTPDecodeError)
    }

    /// Informational responses before one response. A server has a use for two or three.
    private static let maxInformational = 8

    private var state = State.head
    private var collector = HeadCollector()
    private var informational = 0
    private let limits: HTTPLimits

    /// A decoder for a new connection.
    package init(limits: HTTPLimits = HTTPLimits()) {
        limits.checkLimits()
        self.limits = limits
    }

    /// Nothing of a next response has come.
    package var isIdle: Bool {
        if case .head = state { collector.isEmpty && informational == 0 } else { false }
    }

    /// A part of a head has come, and its end has not.
    package var hasPartialHead: Bool {
        if case .head = state { !collector.isEmpty } else { false }
    }

    /// The next event in `input` from `offset`, which moves past what was consumed.
    ///
    /// Call it with the same input until it returns ``HTTPEvent/needMoreInput``. Informational responses (1xx) are
    /// skipped. After ``HTTPEvent/end`` the rest of the input is not consumed; it is a further response only if
    /// ``HTTPResponseHead/keepAlive`` was true.
    ///
    /// - Throws: ``HTTPDecodeError`` where the server breaks the protocol, and again in each call after that.
    package mutating func nextEvent(
        _ input: borrowing Span<UInt8>, from offset: inout Int
    ) throws(HTTPDecodeError) -> HTTPEvent<HTTPResponseHead> {
        do throws(HTTPDecodeError) {
            switch state {
            case .head:
                return try nextHead(input, from: &offset)
            case .body(var body):
                let step = try body.nextPiece(input, from: &offset, limits: limits, collector: &collector)
                state = .body(body)
                switch step {
                case .needMoreInput: return .needMoreInput
                case .bytes(let range): return .body(range)
                case .end:
                    state = .head
                    return .end
                }
            case .failed(let error):
                throw error
            }
        } catch {
            state = .failed(error)
            throw error
        }
    }

    /// The server closed its side. Call it once, after all input.
    ///
    /// - Throws: ``HTTPDecodeError/Reason/truncated`` in the middle of a message.
    package mutating func finishInput() throws(HTTPDecodeError) -> Close {
        switch state {
        case .head where isIdle:
            return .idle
        case .body(let body) where body.isUntilClose:
            state = .head
            return .message
        case .failed(let error):
            throw error
        case .head, .body:
            let error = HTTPDecodeError(.truncated)
            state = .failed(error)
            throw error
        }
    }

    private mutating func nextHead(
        _ input: borrowing Span<UInt8>, from offset: inout Int
    ) throws(HTTPDecodeError) -> HTTPEvent<HTTPResponseHead> {
        while true {
            guard let head = try readHead(input, from: &offset) else { return .needMoreInput }
            if head.status == 101 { throw HTTPDecodeError(.unexpectedUpgrade) }
            guard head.status < 200 else {
                informational = 0
                state = .body(BodyDecoder(head.bodyLength))
                return .head(head)
            }
            informational += 1
            if informational > Self.maxInformational { throw HTTPDecodeError(.tooManyInformationalResponses) }
        }
    }

    /// The head, if all of it has come.
    private mutating func readHead(
        _ input: borrowing Span<UInt8>, from offset: inout Int
    ) throws(HTTPDecodeError) -> HTTPResponseHead? {
        // Nearly always it comes at once and there is nothing wrong with it. Otherwise the collector says what is.
        if collector.isUntouched {
            let window = min(input.count, offset + limits.maxHead)
            if let head = try? HTTPResponseHead(parsing: input.extracting(offset..<window), limits: limits) {
                offset += head.size
                return head
            }
        }
        let section = try collector.collectHead(
            input, from: &offset, maxBytes: limits.maxHead, maxLines: limits.maxFields + 1,
            emptyStart: .refuse(.malformedStatusLine))
        guard let section else { return nil }
        return try HTTPResponseHead(parsing: section.span, limits: limits)
    }
}
