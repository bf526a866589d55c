import DemoServer
import Reactor
import Telemetry

let usage = """
    usage: legacy-demo [--listen HOST:PORT] [--sse]

    A small legacy MCP server (2025-11-25, Streamable HTTP, path /mcp) for demos, tests and benchmarks.
      --listen HOST:PORT   numeric address, port 0 for one that the system gives (default 127.0.0.1:0)
      --sse                answer every request with an event stream
    """

var listen = "127.0.0.1:0"
var prefersStreams = false
var arguments = CommandLine.arguments.dropFirst()
while let argument = arguments.popFirst() {
    switch argument {
    case "--sse": prefersStreams = true
    case "--listen":
        guard let value = arguments.popFirst() else { fail("--listen needs HOST:PORT") }
        listen = value
    default: fail("unknown argument \(argument)")
    }
}
guard let colon = listen.lastIndex(of: ":"), let port = UInt16(listen[colon...].dropFirst()),
    let address = SocketAddress(host: String(listen[..<colon]), port: port)
else { fail("--listen needs a numeric address and a port, such as 127.0.0.1:9000") }

SignalWatch.ignoreBrokenPipes()
let loop = Loop()
let stops = [SignalWatch.terminate, SignalWatch.interrupt].map { SignalWatch($0, on: loop) { loop.stopLoop() } }
let server: DemoServer
do {
    server = try DemoServer(on: loop, address: address, prefersStreams: prefersStreams)
} catch {
    fail("cannot listen on \(address): \(error.reason)")
}
server.startServing()
Console.say(#"{"event":"listening","address":"\#(server.address)"}"#)
loop.runLoop()

func fail(_ problem: String) -> Never {
    Console.complain("legacy-demo: \(problem)\n\(usage)")
    Exit.usage()
}
