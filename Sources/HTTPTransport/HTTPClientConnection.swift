package import HTTPWire
package import Reactor

/// Who reads the answer to a request. Everything is told on the loop's thread, in the order of the wire; after
/// `responseEnded` or `responseFailed` nothing more is told.
package protocol HTTPResponseHandler: AnyObject {
    func receivedHead(_ head: HTTPResponseHead)
    /// A part of the body, without its framing; valid during the call only.
    func receivedBody(_ body: Span<UInt8>)
    func responseEnded()
    func responseFailed(_ error: HTTPClientError)
}

/// Why a request has no answer, or not all of it.
package enum HTTPClientError: Error, Sendable {
    /// No connection was made: nothing was sent.
    case notConnected(SystemError)
    /// The peer closed, or the connection broke. `answerBegan` is false when not one byte of an answer had come.
    case disconnected(answerBegan: Bool)
    /// What came is not HTTP/1.1.
    case malformed(HTTPDecodeError)
    /// The time set with `setTimeout` has passed.
    case timedOut
}

/// A connection to a server, with at most one request on it at a time.
package final class HTTPClientConnection: SocketHandler {
    private let socket: Socket
    private var decoder: HTTPResponseDecoder
    private var handler: (any HTTPResponseHandler)?
    private var answerBegan = false
    /// Whether anything ever came on it.
    private var isProven = false
    /// Why the server did not want it, if it told before there was a request.
    private var refusal: SystemError?
    private var keepsAlive = true
    /// Whether the request that was sent last is one that a server may answer before it has read all of it.
    private var isLarge = false
    private let deadline: Deadline

    /// Who sent the last request on it, by a number of the user's own; 0 where there was none.
    package var lastUser = 0
    /// When it last became idle, for its pool.
    var idleSince: Instant

    package static func connectServer(
        to address: SocketAddress, on loop: Loop, timeout: Duration, tls: TLSClient? = nil,
        limits: HTTPLimits = HTTPLimits()
    ) async throws(HTTPClientError) -> HTTPClientConnection {
        do throws(SystemError) {
            let socket = try await Socket.connectSocket(to: address, on: loop, timeout: timeout, tls: tls)
            return HTTPClientConnection(socket, on: loop, limits)
        } catch {
            throw .notConnected(error)
        }
    }

    /// A connection to what has the other end; nil when this one was taken before.
    package convenience init?(_ end: SocketEnd, on loop: Loop, limits: HTTPLimits = HTTPLimits()) {
        guard let socket = end.takeSocket(on: loop) else { return nil }
        self.init(socket, on: loop, limits)
    }

    private init(_ socket: Socket, on loop: Loop, _ limits: HTTPLimits) {
        self.socket = socket
        idleSince = loop.now
        decoder = HTTPResponseDecoder(limits: limits)
        deadline = Deadline(on: loop)
        deadline.onExpiry = { [unowned self] in failRequest(.timedOut) }
        socket.startReading(self)
    }

    deinit { socket.close() }

    /// Whether another request can be sent on it: the last one has left to its last byte, and its answer has come to its own.
    package var isReusable: Bool { socket.isOpen && handler == nil && keepsAlive && socket.unsentBytes == 0 }

    /// ``isReusable``, after a look at the kernel.
    var isQuiet: Bool { isReusable && socket.isQuiet }

    /// Sends a request and tells `handler` of the answer.
    package func sendRequest(_ request: HTTPMessage, answersTo handler: any HTTPResponseHandler) {
        // Where the connection is broken, what the server said before it broke it off is read, and tells why.
        _ = beginRequest(request, answersTo: handler)
    }

    /// Sends a request and tells `handler` of the answer, unless the connection turns out to be broken before a byte of the
    /// request has left: it is closed then, nothing is told, and the request can be sent on another.
    package func trySend(_ request: HTTPMessage, answersTo handler: any HTTPResponseHandler) -> Bool {
        guard beginRequest(request, answersTo: handler), socket.hasTakenNothing else { return true }
        closeConnection()
        return false
    }

    /// Returns whether the socket got it.
    private func beginRequest(_ request: HTTPMessage, answersTo handler: any HTTPResponseHandler) -> Bool {
        // The sender has taken the connection out of the pool of reusable ones.
        precondition(self.handler == nil, "a connection carries one request at a time")
        guard socket.isOpen else {
            handler.responseFailed(refusal.map { .notConnected($0) } ?? .disconnected(answerBegan: false))
            return false
        }
        self.handler = handler
        answerBegan = false
        isLarge = request.isLarge
        request.sendMessage(on: socket)
        return true
    }

    /// The moment at which the request that is under way fails; nil for never. Moving it is cheap.
    package func setTimeout(_ instant: Instant?) { deadline.set(instant) }

    /// Closes now; the handler is told nothing.
    package func closeConnection() {
        handler = nil
        deadline.set(nil)
        socket.close()
    }

    /// Reads nothing more until `resumeReading`, so that the server has to wait.
    package func pauseReading() { socket.pauseReading() }

    package func resumeReading() { socket.resumeReading() }

    // MARK: SocketHandler

    package func receivedBytes(_ bytes: Span<UInt8>) {
        answerBegan = true
        isProven = true
        var offset = 0
        // Bytes on an idle connection: whatever they are, they answer nothing.
        guard let handler else { return closeConnection() }
        do throws(HTTPDecodeError) {
            while self.handler != nil {
                switch try decoder.nextEvent(bytes, from: &offset) {
                case .needMoreInput:
                    return
                case .head(let head):
                    keepsAlive = head.keepAlive
                    handler.receivedHead(head)
                case .body(let range):
                    handler.receivedBody(bytes.extracting(range))
                case .end:
                    // What follows a response was not asked for: its server is not to be trusted with another request on the
                    // connection.
                    if offset < bytes.count { keepsAlive = false }
                    finishRequest { $0.responseEnded() }
                    return
                }
            }
        } catch {
            failRequest(.malformed(error))
        }
    }

    package func writesDrained() {}

    package func socketEnded(_ error: SystemError?) {
        // TLS 1.3: a server looks at a client's certificate when the client takes the handshake for done.
        if let error, error.isRefusal, !isProven {
            refusal = error
            return failRequest(.notConnected(error))
        }
        do throws(HTTPDecodeError) {
            if handler != nil, error == nil, try decoder.finishInput() == .message {
                socket.close()
                return finishRequest { $0.responseEnded() }
            }
        } catch {
            return failRequest(.disconnected(answerBegan: true))
        }
        failRequest(.disconnected(answerBegan: answerBegan))
    }

    private func failRequest(_ error: HTTPClientError) {
        socket.close()
        finishRequest { $0.responseFailed(error) }
    }

    private func finishRequest(_ tell: (any HTTPResponseHandler) -> Void) {
        guard let handler = handler.take() else { return }
        deadline.set(nil)
        // A request that is still on its way would be in front of the next.
        if !keepsAlive || socket.unsentBytes > 0 || isLarge && !socket.isDelivered { socket.close() }
        tell(handler)
    }
}
