import Configuration
import Crypto
import MCP
import Reactor
import Server
import Telemetry

SignalWatch.ignoreBrokenPipes()

switch Command(CommandLine.arguments.dropFirst()) {
case .run(let source):
    Server.runServer(source)
case .check(let source):
    source.checkConfiguration()
    Console.say("The configuration is right.")
case .warden:
    Warden.runWarden()
case .demo(let once):
    Demo.runDemo(once: once)
case .keygen:
    Console.say(KeyText.generateKey())
case .schema:
    Console.say(Configuration.schemaText)
case .completion(let shell):
    Console.say(shell.script)
case .version:
    Console.say("remora \(Version.current), MCP \(Revision.modern.rawValue)")
case .help(let name):
    Console.say(CommandForm.usageText(of: name))
case .mistake(let problem):
    Console.complain("remora: \(problem); `remora help` lists what there is")
    Exit.usage()
}
