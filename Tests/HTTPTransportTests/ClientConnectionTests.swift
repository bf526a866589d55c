import Glibc
import HTTPWire
import Reactor
import TestSupport
import Testing

@testable import HTTPTransport

/// Keeps the answer to one request.
final class Reader: HTTPResponseHandler {
    private(set) var status: Int?
    private(set) var body: [UInt8] = []
    /// How it ended, in words; nil while it has not.
    private(set) var end: String?
    private let changed = Wakeup()
    private let loop: Loop

    init(on loop: Loop) { self.loop = loop }

    func receivedHead(_ head: HTTPResponseHead) {
        #expect(status == nil && end == nil)
        status = head.status
        changed.signal()
    }

    func receivedBody(_ body: Span<UInt8>) {
        #expect(status != nil && end == nil)
        self.body += body.withUnsafeBufferPointer { Array($0) }
        changed.signal()
    }

    func responseEnded() { finish("finished") }

    func responseFailed(_ error: HTTPClientError) {
        switch error {
        case .notConnected: finish("not connected")
        case .disconnected(let answerBegan): finish(answerBegan ? "cut" : "no answer")
        case .malformed(let error): finish("malformed \(error.reason)")
        case .timedOut: finish("timed out")
        }
    }

    private func finish(_ how: String) {
        #expect(end == nil, "told twice")
        end = how
        changed.signal()
    }

    func untilEnd() async throws -> String {
        try await eventually("the end of an answer", on: loop, changed) { self.end != nil }
        return end ?? ""
    }

    func untilBody(_ text: String) async throws {
        try await eventually("\(text), is \(body)", on: loop, changed) { self.body == Array(text.utf8) }
    }
}

@Suite(.timeLimit(.minutes(1))) struct ClientConnectionTests {
    private static let request = [Array("GET / HTTP/1.1\r\nHost: h\r\n\r\n".utf8)[...]]

    /// A connection with a request on it, the server's end of it, and who reads the answer.
    private static func asked(
        _ host: Host, on loop: Loop
    ) async throws -> (connection: HTTPClientConnection, server: Peer, reader: Reader) {
        let count = host.peers.count
        let connection = try await HTTPClientConnection.connectServer(to: host.address, on: loop, timeout: .seconds(5))
        let reader = Reader(on: loop)
        connection.sendRequest(HTTPMessage(request), answersTo: reader)
        try await host.untilAccepted(count + 1)
        let server = host.peers[count]
        try await server.until("the request") { $0.text.hasSuffix("\r\n\r\n") }
        return (connection, server, reader)
    }

    @Test func aConnectionCarriesOneRequestAfterAnother() async throws {
        try await withLoop { loop in
            let host = try Host(on: loop)
            let (connection, server, reader) = try await Self.asked(host, on: loop)
            #expect(!connection.isReusable)
            server.write("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\none")
            #expect(try await reader.untilEnd() == "finished")
            #expect(reader.body == Array("one".utf8))
            for number in 0..<3 {
                #expect(connection.isReusable)
                let next = Reader(on: loop)
                connection.sendRequest(HTTPMessage(Self.request), answersTo: next)
                server.write("HTTP/1.1 404 Not Found\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n\(number)\r\n0\r\n\r\n")
                #expect(try await next.untilEnd() == "finished")
                #expect(next.status == 404 && next.body == Array("\(number)".utf8))
            }
            #expect(host.peers.count == 1)
        }
    }

    /// What the server sends before it closes, and what comes of it.
    @Test(
        arguments: [
            ("", "no answer"), ("HTTP/1.1 200 OK\r\n", "cut"),
            ("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\non", "cut"),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n", "cut"),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n0\r\n", "cut"),
            // Without a length, the body ends with the connection.
            ("HTTP/1.1 200 OK\r\n\r\none", "finished"), ("HTTP/1.0 200 OK\r\n\r\n", "finished"),
            ("HTTP/1.1 100 Continue\r\n\r\n", "cut"),
            ("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n", "finished"),
            ("nonsense\r\n\r\n", "malformed malformedStatusLine"),
            ("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", "malformed duplicateContentLength"),
        ])
    func aServerClosesAfter(answer: String, end: String) async throws {
        try await withLoop { loop in
            let host = try Host(on: loop)
            let (connection, server, reader) = try await Self.asked(host, on: loop)
            server.write(answer)
            server.socket.close()
            #expect(try await reader.untilEnd() == end)
            if !answer.contains("204") { #expect(!connection.isReusable) }
        }
    }

    @Test func aResetInTheMiddleIsACut() async throws {
        try await withLoop { loop in
            let host = try Host(on: loop)
            let (connection, server, reader) = try await Self.asked(host, on: loop)
            server.write("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\none")
            try await reader.untilBody("one")
            server.socket.pauseReading()
            connection.setTimeout(.now + .seconds(10))
            // Unread bytes make the kernel answer the close with a reset.
            #expect(reader.end == nil)
            server.socket.close()
            #expect(try await reader.untilEnd() == "cut")
        }
    }

    @Test func aServerThatClosesAnIdleConnectionEndsItsUse() async throws {
        try await withLoop { loop in
            let host = try Host(on: loop)
            let (connection, server, reader) = try await Self.asked(host, on: loop)
            server.write("HTTP/1.1 204 No Content\r\n\r\n")
            #expect(try await reader.untilEnd() == "finished")
            #expect(connection.isReusable)
            server.socket.close()
            await pause(.milliseconds(20), on: loop)
            #expect(!connection.isReusable)
            // A request on it all the same is told that nothing was answered.
            let late = Reader(on: loop)
            connection.sendRequest(HTTPMessage(Self.request), answersTo: late)
            #expect(try await late.untilEnd() == "no answer")
        }
    }

    @Test(
        arguments: [
            "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
            "HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n",
            // More than was asked for.
            "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\nx", "HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n",
        ])
    func afterSuchAnAnswerItIsNotUsedAgain(answer: String) async throws {
        try await withLoop { loop in
            let host = try Host(on: loop)
            let (connection, server, reader) = try await Self.asked(host, on: loop)
            server.write(answer)
            #expect(try await reader.untilEnd() == "finished")
            #expect(!connection.isReusable)
            try await server.until("the end") { $0.hasEnded }
        }
    }

    /// Bytes that answer nothing could be taken for the answer to the next request.
    @Test func unsolicitedBytesCloseAnIdleConnection() async throws {
        try await withLoop { loop in
            let host = try Host(on: loop)
            let (connection, server, reader) = try await Self.asked(host, on: loop)
            server.write("HTTP/1.1 204 No Content\r\n\r\n")
            #expect(try await reader.untilEnd() == "finished")
            server.write("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged")
            try await server.until("the end") { $0.hasEnded }
            #expect(!connection.isReusable)
        }
    }

    @Test func timeEndsARequest() async throws {
        try await withLoop { loop in
            let host = try Host(on: loop)
            for answer in ["", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\none"] {
                let (connection, server, reader) = try await Self.asked(host, on: loop)
                server.write(answer)
                connection.setTimeout(.now + .milliseconds(30))
                #expect(try await reader.untilEnd() == "timed out")
                #expect(!connection.isReusable)
                try await server.until("the end") { $0.hasEnded }
            }
        }
    }

    @Test func anAnswerInTimeClearsTheTime() async throws {
        try await withLoop { loop in
            let host = try Host(on: loop)
            let (connection, server, reader) = try await Self.asked(host, on: loop)
            connection.setTimeout(.now + .milliseconds(30))
            server.write("HTTP/1.1 204 No Content\r\n\r\n")
            #expect(try await reader.untilEnd() == "finished")
            await pause(.milliseconds(60), on: loop)
            #expect(connection.isReusable)
        }
    }

    @Test func whoClosesIsToldNothing() async throws {
        try await withLoop { loop in
            let host = try Host(on: loop)
            let (connection, server, reader) = try await Self.asked(host, on: loop)
            connection.closeConnection()
            try await server.until("the end") { $0.hasEnded }
            #expect(reader.end == nil && !connection.isReusable)
        }
    }

    @Test func aPausedReaderMakesTheServerWait() async throws {
        try await withLoop { loop in
            let host = try Host(on: loop)
            let (connection, server, reader) = try await Self.asked(host, on: loop)
            connection.pauseReading()
            let body = String(repeating: "x", count: 16_000_000)
            server.write("HTTP/1.1 200 OK\r\nContent-Length: \(body.utf8.count)\r\n\r\n\(body)")
            await pause(.milliseconds(30), on: loop)
            #expect(reader.status == nil && server.socket.unsentBytes > 0)
            connection.resumeReading()
            #expect(try await reader.untilEnd() == "finished")
            #expect(reader.body.count == body.utf8.count)
        }
    }

    // MARK: The pool

    private static func answer(_ connection: HTTPClientConnection, from server: Peer, on loop: Loop) async throws {
        let reader = Reader(on: loop)
        connection.sendRequest(HTTPMessage(request), answersTo: reader)
        server.write("HTTP/1.1 204 No Content\r\n\r\n")
        #expect(try await reader.untilEnd() == "finished")
    }

    @Test func thePoolUsesTheLastOneFirst() async throws {
        try await withLoop { loop in
            let host = try Host(on: loop)
            let pool = HTTPConnectionPool(
                to: .host("127.0.0.1", port: host.address.port), on: loop, connectTimeout: .seconds(5))
            let first = try await pool.connection()
            let second = try await pool.connection()
            #expect(first !== second)
            try await host.untilAccepted(2)
            pool.putBack(first)
            pool.putBack(second)
            #expect(try await pool.connection() === second)
            #expect(try await pool.connection() === first)
            #expect(host.peers.count == 2)
            pool.putBack(first)
            pool.closeIdle()
            #expect(!first.isReusable)
            #expect(second.isReusable)
        }
    }

    @Test func thePoolDropsWhatCannotBeUsed() async throws {
        try await withLoop { loop in
            let host = try Host(on: loop)
            let pool = HTTPConnectionPool(
                to: .host("localhost", port: host.address.port), on: loop, connectTimeout: .seconds(5))
            let first = try await pool.connection()
            try await host.untilAccepted(1)
            try await Self.answer(first, from: host.peers[0], on: loop)
            pool.putBack(first)
            host.peers[0].socket.close()
            await pause(.milliseconds(20), on: loop)
            let second = try await pool.connection()
            #expect(second !== first && second.isReusable)
            // One with a request on it is not put back, but closed.
            let reader = Reader(on: loop)
            second.sendRequest(HTTPMessage(Self.request), answersTo: reader)
            pool.putBack(second)
            #expect(!second.isReusable)
            #expect(try await pool.connection() !== second)
        }
    }

    /// The server's close is in the kernel, and the loop has not been told: a request would be lost on it.
    @Test func thePoolSeesACloseThatNobodyWasToldOf() async throws {
        try await withLoop { loop in
            let host = try Host(on: loop)
            let pool = HTTPConnectionPool(
                to: .host("127.0.0.1", port: host.address.port), on: loop, connectTimeout: .seconds(5))
            let first = try await pool.connection()
            try await host.untilAccepted(1)
            pool.putBack(first)
            await pause(.milliseconds(100), on: loop)
            host.peers[0].socket.close()
            // A busy kernel delivers it a moment later. The loop may not turn meanwhile.
            usleep(50_000)
            #expect(pool.takeIdle() == nil)
            #expect(!first.isReusable)
        }
    }

    @Test func thePoolClosesWhatIsIdleForLong() async throws {
        try await withLoop { loop in
            let host = try Host(on: loop)
            let pool = HTTPConnectionPool(
                to: .host("127.0.0.1", port: host.address.port), on: loop, connectTimeout: .seconds(5))
            pool.putBack(try await pool.connection())
            try await host.untilAccepted(1)
            try await host.peers[0].until("its end, after three seconds") { $0.hasEnded }
        }
    }

    @Test func whereNobodyListensThereIsNoConnection() async throws {
        try await withLoop { loop in
            let host = try Host(on: loop)
            host.listener.closeListener()
            let pool = HTTPConnectionPool(
                to: .host("localhost", port: host.address.port), on: loop, connectTimeout: .seconds(5))
            await #expect {
                _ = try await pool.connection()
            } throws: { error in
                guard case .notConnected = error as? HTTPClientError else { return false }
                return true
            }
        }
    }
}

extension HTTPMessage {
    /// A message that is written out already.
    fileprivate init(_ parts: [ArraySlice<UInt8>]) {
        self.init([UInt8](), headSize: 256) { for part in parts { $0.append(contentsOf: part) } }
    }
}

extension HTTPConnectionPool {
    /// An idle connection, or a new one.
    fileprivate func connection() async throws(HTTPClientError) -> HTTPClientConnection {
        if let idle = takeIdle() { return idle }
        return try await connect()
    }
}
