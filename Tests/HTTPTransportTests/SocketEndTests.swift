import HTTPWire
import Reactor
import TestSupport
import Testing

@testable import HTTPTransport

/// A request from one loop to another, on a connection within the process.
@Suite struct SocketEndTests {
    @Test func aRequestCrossesLoops() async throws {
        let (near, far) = try SocketEnd.makePair()
        let served = Task {
            try await withLoop { loop in
                let socket = try #require(far.takeSocket(on: loop))
                #expect(far.takeSocket(on: loop) == nil)
                let connection = HTTPServerConnection(
                    socket, on: loop,
                    limits: HTTPServerConnection.Limits(
                        maxBody: 1 << 20, headerTimeout: .seconds(5), bodyTimeout: .seconds(5),
                        idleTimeout: .seconds(5)))
                guard case .request(let request) = await connection.nextArrival() else { return 0 }
                connection.respond(HTTPResponse(status: 200), body: request.body)
                // The other end is closed then.
                guard case .closed = await connection.nextArrival() else { return 0 }
                return request.body.count
            }
        }
        let answer = try await withLoop { loop in
            let connection = try #require(HTTPClientConnection(near, on: loop))
            let echo = Echo()
            connection.sendRequest(
                HTTPMessage([UInt8](repeating: 1, count: 200_000), headSize: 64) {
                    $0.append(contentsOf: "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 200000\r\n\r\n".utf8)
                }, answersTo: echo)
            while !echo.isOver { await echo.wakeup.wait() }
            connection.closeConnection()
            return echo.count
        }
        #expect(answer == 200_000)
        #expect(try await served.value == 200_000)
    }

    @Test func whatNobodyTakesIsClosed() async throws {
        let ended = try await withLoop { loop in
            let near = try SocketEnd.makePair().0
            let connection = try #require(HTTPClientConnection(near, on: loop))
            let echo = Echo()
            connection.sendRequest(HTTPMessage([UInt8](), headSize: 64) { _ in }, answersTo: echo)
            while !echo.isOver { await echo.wakeup.wait() }
            return echo.hasFailed
        }
        #expect(ended)
    }
}

private final class Echo: HTTPResponseHandler {
    var count = 0
    var isOver = false
    var hasFailed = false
    let wakeup = Wakeup()

    func receivedHead(_ head: HTTPResponseHead) {}

    func receivedBody(_ body: Span<UInt8>) { count += body.count }

    func responseEnded() { end() }

    func responseFailed(_ error: HTTPClientError) {
        hasFailed = true
        end()
    }

    private func end() {
        isOver = true
        wakeup.signal()
    }
}
