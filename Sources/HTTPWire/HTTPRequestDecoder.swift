/// Takes the bytes that a client sends apart into requests (RFC 9112), one connection each.
///
/// It keeps the bytes of an incomplete head and nothing else: the pieces of a body are ranges of the input, and between
/// requests it holds no memory.
package struct HTTPRequestDecoder: ~Copyable, Sendable {
    private enum State: Sendable {
        /// Between messages or in a head. Next: `body`.
        case head
        /// In a body. Next: `head`.
        case body(BodyDecoder)
        /// The peer broke the protocol. Final.
        case failed(HTTPDecodeError)
    }

    private var state = State.head
    private var collector = HeadCollector()
    private let limits: HTTPLimits

    /// A decoder for a new connection.
    package init(limits: HTTPLimits = HTTPLimits()) {
        limits.checkLimits()
        self.limits = limits
    }

    /// Nothing of a next request has come; up to four empty lines before one do not count.
    package var isIdle: Bool {
        if case .head = state { collector.isEmpty } else { false }
    }

    /// A part of a head has come, and its end has not.
    package var hasPartialHead: Bool {
        if case .head = state { !collector.isEmpty } else { false }
    }

    /// The next event in `input` from `offset`, which moves past what was consumed.
    ///
    /// Call it with the same input until it returns ``HTTPEvent/needMoreInput``. After ``HTTPEvent/end`` the rest of the
    /// input belongs to the next request, and the next call begins with it.
    ///
    /// - Throws: ``HTTPDecodeError`` where the client breaks the protocol, and again in each call after that.
    package mutating func nextEvent(
        _ input: borrowing Span<UInt8>, from offset: inout Int
    ) throws(HTTPDecodeError) -> HTTPEvent<HTTPRequestHead> {
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

    private mutating func nextHead(
        _ input: borrowing Span<UInt8>, from offset: inout Int
    ) throws(HTTPDecodeError) -> HTTPEvent<HTTPRequestHead> {
        guard let head = try readHead(input, from: &offset) else { return .needMoreInput }
        state = .body(BodyDecoder(head.bodyLength))
        return .head(head)
    }

    /// The head, if all of it has come.
    private mutating func readHead(
        _ input: borrowing Span<UInt8>, from offset: inout Int
    ) throws(HTTPDecodeError) -> HTTPRequestHead? {
        // Nearly always it comes at once and there is nothing wrong with it. Otherwise the collector says what is.
        if collector.isUntouched {
            let window = min(input.count, offset + limits.maxHead)
            if let head = try? HTTPRequestHead(parsing: input.extracting(offset..<window), limits: limits) {
                offset += head.size
                return head
            }
        }
        let section = try collector.collectHead(
            input, from: &offset, maxBytes: limits.maxHead, maxLines: limits.maxFields + 1,
            emptyStart: .skip)
        guard let section else { return nil }
        return try HTTPRequestHead(parsing: section.span, limits: limits)
    }
}
