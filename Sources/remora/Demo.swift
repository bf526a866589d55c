import Configuration
import DemoServer
import Gateway
import HTTPTransport
import HTTPWire
import Reactor
import Server
import Telemetry

/// `remora demo`: a legacy server, Remora before it, and one real request.
enum Demo {
    private static let request = #"""
        {"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","arguments":{"text":"Hello from 2026"},"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}}}
        """#

    private static let fields: [(name: StaticString, value: String)] = [
        ("content-type", "application/json"), ("accept", "application/json, text/event-stream"),
        ("mcp-protocol-version", "2026-07-28"), ("mcp-method", "tools/call"), ("mcp-name", "echo"),
    ]

    /// - Parameter once: end after the answer, instead of staying up until Ctrl-C.
    static func runDemo(once: Bool) {
        let loop = Loop()
        do throws(SystemError) {
            let server = try DemoServer(on: loop, address: loopback, prefersStreams: false)
            server.startServing()
            let url = "http://\(server.address)/mcp"
            guard case .success(let configuration) = Configuration.forBackend(url: url, listen: "127.0.0.1:0") else {
                // This file has written it.
                preconditionFailure("the demo's own configuration is wrong")
            }
            let log = Log(level: .warning, format: .text)
            let remora = try Wiring(configuration, secrets: Secrets(configuration), log: log).makeParts(on: loop)
            remora.service.startListening()
            let watches = [SignalWatch.terminate, SignalWatch.interrupt].map { signal in
                SignalWatch(signal, on: loop) { endDemo(remora, loop) }
            }
            Console.say("A legacy MCP server (2025-11-25, with sessions) listens on \(url).")
            Console.say("Remora listens on http://\(remora.address)/mcp.\n")
            loop.spawn { await showCall(remora, once: once, on: loop) }
            loop.runLoop()
            withExtendedLifetime(watches) {}
            log.flushLines(within: .seconds(1))
        } catch {
            Console.complain("remora: the demo cannot start: \(error)")
            Exit.failure()
        }
    }

    private static var loopback: SocketAddress {
        // It is always one.
        guard let address = SocketAddress(host: "127.0.0.1", port: 0) else { preconditionFailure() }
        return address
    }

    private static func endDemo(_ remora: Wiring.Parts, _ loop: Loop) {
        loop.spawn {
            let time = DrainTime(from: loop.now, timeout: .seconds(2))
            await remora.service.stopAccepting(until: time.endOfParking)
            await remora.service.drainConnections(in: time)
            loop.stopLoop()
        }
    }

    private static func showCall(_ remora: Wiring.Parts, once: Bool, on loop: Loop) async {
        Console.say("A client of MCP 2026-07-28 sends one request, without initialize and without a session:\n")
        Console.say("  \(request)\n")
        guard let answer = await askRemora(remora.address, on: loop) else {
            Console.complain("remora: the demo got no answer")
            Exit.failure()
        }
        Console.say("and gets its answer:\n\n  \(answer)\n")
        if once { return endDemo(remora, loop) }
        Console.say("Try it yourself, and end the demo with Ctrl-C:\n\n\(curlCommand(remora.address))\n")
    }

    private static func curlCommand(_ address: SocketAddress) -> String {
        let headers = fields.map { "-H '\($0.name): \($0.value)'" }.joined(separator: " \\\n    ")
        return "  curl -s http://\(address)/mcp \\\n    \(headers) \\\n    -d '\(request)'"
    }

    private static func askRemora(_ address: SocketAddress, on loop: Loop) async -> String? {
        guard
            let connection = try? await HTTPClientConnection.connectServer(to: address, on: loop, timeout: .seconds(2))
        else { return nil }
        let body = Array(request.utf8)
        let message = HTTPMessage(body, headSize: 512) { head in
            guard
                var writer = HTTPHeadWriter(
                    method: .post, target: Array("/mcp".utf8), host: Array("\(address)".utf8), into: &head)
            else { preconditionFailure("the demo's own address is no host") }  // Digits, dots and a colon are one.
            for field in fields { _ = writer.field(field.name, Array(field.value.utf8)) }
            writer.field("content-length", body.count)
            writer.endHead(into: &head)
        }
        let answer = DemoAnswer()
        connection.setTimeout(.now + .seconds(10))
        connection.sendRequest(message, answersTo: answer)
        return await answer.answerText()
    }
}

/// Collects the body of an answer.
private final class DemoAnswer: HTTPResponseHandler {
    private var body: [UInt8] = []
    private var isComplete: Bool?
    private let wakeup = Wakeup()

    func answerText() async -> String? {
        while isComplete == nil { await wakeup.wait() }
        return isComplete == true ? String(decoding: body, as: UTF8.self) : nil
    }

    func receivedHead(_ head: HTTPResponseHead) {}

    func receivedBody(_ part: Span<UInt8>) { body.append(part, 0..<part.count) }

    func responseEnded() { endAnswer(true) }

    func responseFailed(_ error: HTTPClientError) { endAnswer(false) }

    private func endAnswer(_ complete: Bool) {
        isComplete = complete
        wakeup.signal()
    }
}
