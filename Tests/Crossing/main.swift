import Glibc

let usage = """
    usage: crossing serve [--seed N]
           crossing call HOST:PORT [--answers N] [--seconds N] [--principals N] [--connections N] [--seed N]

    Callers before Remora and a server behind it, to find answers that reach somebody else.
      serve   a legacy server that answers as each call asks for; prints where it listens
      call    principals, half of them hostile; each honest answer is checked for its caller's mark and credential.
              The status is 0 when there was no answer of another's, and none missing.
    """

var options: [String: Int] = [:]
var words: [String] = []
var arguments = Array(CommandLine.arguments.dropFirst())
while !arguments.isEmpty {
    let word = arguments.removeFirst()
    if word.hasPrefix("--"), let value = arguments.first.flatMap({ Int($0) }) {
        options[String(word.dropFirst(2))] = value
        arguments.removeFirst()
    } else {
        words.append(word)
    }
}
let seed = UInt64(options["seed"] ?? Int.random(in: 0..<1 << 48))
switch words.first {
case "serve":
    let poller = Poller()
    let server = Server(seed: seed, on: poller)
    print(#"{"event":"listening","address":"127.0.0.1:\#(server.port)","seed":\#(seed)}"#)
    fflush(nil)
    poller.run { true }
case "call":
    guard words.count == 2, let port = words[1].split(separator: ":").last.flatMap({ UInt16($0) }) else { fail() }
    let field = Field(port, seed: seed)
    let isWell = field.run(
        answers: options["answers"] ?? 100_000, seconds: options["seconds"] ?? 3600,
        principals: options["principals"] ?? 64, connections: options["connections"] ?? 2)
    exit(isWell ? 0 : 1)
default: fail()
}

func fail() -> Never {
    complain(usage)
    exit(64)
}
