import Glibc
import TestSupport
import Testing

@testable import Reactor

@Suite struct ChildProcessTests {
    private static func shell(
        _ script: String, directory: String? = nil, _ variables: [String: String] = [:]
    ) -> ChildCommand {
        ChildCommand(arguments: ["sh", "-c", script], adding: variables, directory: directory)
    }

    /// What a child wrote on its standard output until it ended.
    private static func output(of child: ChildProcess) async -> String {
        let text = Collected()
        child.output.onBytes = { bytes in for index in 0..<bytes.count { text.bytes.append(bytes[index]) } }
        child.output.startReading()
        await child.output.waitForEnd(.seconds(10))
        await child.waitForEnd()
        return String(decoding: text.bytes, as: UTF8.self)
    }

    private final class Collected { var bytes: [UInt8] = [] }

    @Test func talksThroughPipes() async throws {
        try await withLoop { loop in
            let child = try ChildProcess.startProcess(Self.shell("cat; exit 3"), on: loop, warden: nil)
            child.input.writeParts([Array("hello ".utf8)[...], Array("child\n".utf8)[...]])
            child.input.closePipe()
            #expect(await Self.output(of: child) == "hello child\n")
            #expect(child.exit == .status(3))
        }
    }

    @Test func writesMoreThanAPipeHolds() async throws {
        try await withLoop { loop in
            let child = try ChildProcess.startProcess(Self.shell("sleep 0.2; wc -c"), on: loop, warden: nil)
            let part = [UInt8](repeating: 0x61, count: 1 << 20)
            child.input.writeParts([part[...], part[...]])
            #expect(child.input.unsentBytes > 0)
            child.input.onDrained = { child.input.closePipe() }
            #expect(await Self.output(of: child) == "2097152\n")
        }
    }

    @Test func getsLittleOfTheEnvironmentAndNoDescriptor() async throws {
        try await withLoop { loop in
            let command = Self.shell(
                "echo $A; echo ${SHELL-none}; pwd; ls /proc/self/fd | wc -l; ps -o pgid= -p $$ | tr -d ' '",
                directory: "/",
                ["A": "b c"])
            let child = try ChildProcess.startProcess(command, on: loop, warden: nil)
            child.input.closePipe()
            // Three streams, and the directory that is being listed.
            #expect(await Self.output(of: child) == "b c\nnone\n/\n4\n\(child.id)\n")
        }
    }

    @Test func handsOverDefaultSignals() async throws {
        SignalWatch.ignoreBrokenPipes()
        try await withLoop { loop in
            let child = try ChildProcess.startProcess(
                Self.shell("grep -E 'SigIgn|SigBlk' /proc/self/status | cut -f2 | sort -u"), on: loop, warden: nil)
            // The C library keeps signal 32 for itself, ignored in what it starts.
            let masks = await Self.output(of: child).replacing("80000000", with: "00000000").split(separator: "\n")
            #expect(Set(masks) == ["0000000000000000"], "\(masks)")
        }
    }

    // The thread sanitizer makes a `fork` of `vfork`: what the child then says of its failure stays in its own memory.
    @Test(
        .disabled(if: getenv("TSAN_OPTIONS") != nil),
        arguments: [
            (["/no/such/program"], nil, "exec"), (["no-such-program-at-all"], nil, "exec"),
            (["sh"], "/no/such/place", "chdir"),
            (["/etc/passwd"], nil, "exec"),
        ] as [([String], String?, String)])
    func saysWhyItCannotStart(_ arguments: [String], _ directory: String?, _ call: String) async throws {
        try await withLoop { loop in
            let error = #expect(throws: SystemError.self) {
                try ChildProcess.startProcess(
                    ChildCommand(arguments: arguments, adding: [:], directory: directory), on: loop, warden: nil)
            }
            #expect(error?.call == call)
        }
    }

    @Test func stopsStepByStep() async throws {
        try await withLoop { loop in
            let willing = try ChildProcess.startProcess(Self.shell("cat"), on: loop, warden: nil)
            await willing.stopProcess(patience: .seconds(5))
            #expect(willing.exit == .status(0))

            let slow = try ChildProcess.startProcess(Self.shell("sleep 100"), on: loop, warden: nil)
            await slow.stopProcess(patience: .milliseconds(200))
            #expect(slow.exit == .signal(15))

            let deaf = try ChildProcess.startProcess(
                Self.shell("trap '' TERM; sleep 100; sleep 100"), on: loop, warden: nil)
            await pause(.milliseconds(100), on: loop)
            await deaf.stopProcess(patience: .milliseconds(200))
            #expect(deaf.exit == .signal(9))
        }
    }

    @Test func whatItStartedEndsWithIt() async throws {
        try await withLoop { loop in
            let child = try ChildProcess.startProcess(
                Self.shell("(trap '' TERM HUP; sleep 100) >/dev/null 2>&1 & echo $!"), on: loop, warden: nil)
            let id = try #require(Int32(await Self.output(of: child).dropLast()))
            for _ in 0..<100 where isRunning(id) { await pause(.milliseconds(20), on: loop) }
            #expect(!isRunning(id))
        }
    }
}

/// Whether the process runs, and is not only what is left of it until it is reaped.
private func isRunning(_ id: Int32) -> Bool {
    guard let file = fopen("/proc/\(id)/stat", "r") else { return false }
    defer { fclose(file) }
    var line = [CChar](repeating: 0, count: 512)
    guard fgets(&line, Int32(line.count), file) != nil else { return false }
    let text = String(decoding: line.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
    return text.split(separator: ")").last?.hasPrefix(" Z") == false
}
