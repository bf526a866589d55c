import Reactor
import Telemetry

/// What a child prints for people: its standard error, and lines of its standard output that cannot be messages. It goes
/// into the log, and never holds up the child.
final class ChildOutput {
    /// Bytes of a line that are kept. Longer ones are cut.
    private static let maxLine = 1000

    private let id: Int32
    private let loop: Loop
    private let log: Log
    private var allowance: LineAllowance
    private var line: [UInt8] = []

    init(of id: Int32, on loop: Loop, log: Log) {
        self.id = id
        self.loop = loop
        self.log = log
        allowance = LineAllowance(at: loop.now)
    }

    /// Takes bytes of the standard error.
    func receivedBytes(_ bytes: Span<UInt8>) {
        for index in 0..<bytes.count {
            if bytes[index] == UInt8(ascii: "\n") {
                endLine()
            } else if line.count < ChildOutput.maxLine {
                line.append(bytes[index])
            }
        }
    }

    /// The stream has ended, with or without a line feed.
    func endOutput() {
        endLine()
        tellDropped(allowance.takeDropped())
    }

    private func endLine() {
        if line.last == UInt8(ascii: "\r") { line.removeLast() }
        if !line.isEmpty { logLine(line[...], to: "stderr") }
        line.removeAll(keepingCapacity: true)
    }

    /// Takes a line of the standard output.
    func logStrayLine(_ line: [UInt8]) {
        if !line.isEmpty { logLine(line.prefix(ChildOutput.maxLine), to: "stdout") }
    }

    private func logLine(_ line: ArraySlice<UInt8>, to stream: StaticString) {
        guard case .write(let dropped) = allowance.takeLine(at: loop.now) else { return }
        tellDropped(dropped)
        log.write(.info, "server_output") { entry in
            entry.field("pid", Int(id))
            entry.field("stream", stream)
            entry.field("text", String(decoding: line, as: UTF8.self), limit: ChildOutput.maxLine)
        }
    }

    private func tellDropped(_ count: Int) {
        guard count > 0 else { return }
        log.write(.warning, "server_output_dropped") { entry in
            entry.field("pid", Int(id))
            entry.field("count", count)
        }
    }
}
