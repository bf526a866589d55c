import Foundation
import Testing

@testable import Telemetry

@Suite struct LogTests {
    /// A log that writes into a pipe, and what comes out at its other end.
    private final class Tapped: @unchecked Sendable {
        // @unchecked is sound: one thread at a time reads.
        let log: Log
        private let pipe = Pipe()

        init(_ level: LogLevel) {
            log = Log(level: level, format: .text, descriptor: pipe.fileHandleForWriting.fileDescriptor)
        }

        private var unread: [UInt8] = []

        /// The next line, without its time; nil at the end of the pipe.
        func line() -> String? {
            while true {
                if let end = unread.firstIndex(of: UInt8(ascii: "\n")) {
                    defer { unread.removeSubrange(...end) }
                    return String(decoding: unread[..<end].dropFirst(25), as: UTF8.self)
                }
                let part = pipe.fileHandleForReading.availableData
                if part.isEmpty { return nil }
                unread += part
            }
        }

        func lines(_ count: Int) -> [String] { (0..<count).compactMap { _ in line() } }
    }

    @Test(.timeLimit(.minutes(1))) func flushWritesWhatWaits() {
        let tapped = Tapped(.info)
        tapped.log.write(.info, "first") { $0.field("n", 1) }
        tapped.log.write(.warning, "second")
        tapped.log.flushLines(within: .seconds(30))
        #expect(tapped.lines(2) == ["info first n=1", "warning second"])
    }

    @Test(.timeLimit(.minutes(1))) func anInternalErrorIsToldOnceAPlaceAndCounted() {
        let tapped = Tapped(.info)
        for _ in 0..<3 { tapped.log.internalError("a call without an end", fileID: "Gateway/Call.swift", line: 7) }
        tapped.log.internalError("a call without an end", fileID: "Gateway/Call.swift", line: 8)
        tapped.log.write(.info, "last")
        tapped.log.flushLines(within: .seconds(30))
        let lines = tapped.lines(3)
        #expect(lines[0].contains("error internal_error what=\"a call without an end\" place=\"Gateway/Call.swift:7\""))
        #expect(lines[1].contains("place=\"Gateway/Call.swift:8\""))
        #expect(lines[2] == "info last")
        #expect(tapped.log.internalErrorCount == 4)
    }

    @Test(.timeLimit(.minutes(1))) func linesComeOutWithoutAFlush() {
        let tapped = Tapped(.info)
        tapped.log.write(.error, "first")
        #expect(tapped.lines(1) == ["error first"])
        // The writer went to sleep: it is woken again.
        tapped.log.write(.error, "second")
        #expect(tapped.lines(1) == ["error second"])
    }

    @Test(.timeLimit(.minutes(1))) func onlyWhatTheLevelAsksForIsWritten() {
        let tapped = Tapped(.warning)
        var wasBuilt = false
        tapped.log.write(.info, "info") { _ in wasBuilt = true }
        tapped.log.write(.debug, "debug") { _ in wasBuilt = true }
        tapped.log.write(.warning, "warning")
        tapped.log.write(.error, "error")
        tapped.log.flushLines(within: .seconds(30))
        #expect(tapped.lines(2) == ["warning warning", "error error"])
        #expect(!wasBuilt, "a line that is not asked for costs nothing")
    }

    @Test(.timeLimit(.minutes(1))) func linesOfAThreadKeepTheirOrderAndStayWhole() async {
        let tapped = Tapped(.info)
        let log = tapped.log
        // Less than a pipe holds: it is not read before the end.
        await withTaskGroup { group in
            for thread in 0..<4 {
                group.addTask {
                    for number in 0..<200 {
                        log.write(.info, "line") {
                            $0.field("thread", thread)
                            $0.field("n", number)
                        }
                        if number % 50 == 0 { log.flushLines(within: .seconds(30)) }
                    }
                }
            }
            group.addTask { log.flushLines(within: .seconds(30)) }
        }
        log.flushLines(within: .seconds(30))
        let lines = tapped.lines(800)
        #expect(lines.count == 800)
        for thread in 0..<4 {
            let own = lines.filter { $0.contains("thread=\(thread) ") }
            #expect(own == (0..<200).map { "info line thread=\(thread) n=\($0)" })
        }
    }

    /// A reader that has stopped reading costs lines, never a caller's time or memory without end.
    @Test(.timeLimit(.minutes(1))) func whatDoesNotFitIsCounted() {
        let tapped = Tapped(.info)
        let value = String(repeating: "x", count: 250)
        let count = 20_000
        for _ in 0..<count { tapped.log.write(.info, "line") { $0.field("value", value) } }
        // Read only now: more than the buffer and the pipe hold has been written.
        let writer = Thread { [log = tapped.log] in log.flushLines(within: .seconds(30)) }
        writer.start()
        var written = 0
        var dropped = 0
        while written + dropped < count, let line = tapped.line() {
            if line.hasPrefix("info line") {
                written += 1
            } else if line.hasPrefix("warning log_lines_dropped count=") {
                dropped += Int(line.split(separator: "=")[1]) ?? 0
            }
        }
        #expect(dropped > 0)
        #expect(written + dropped == count)
    }

    /// The end of the process waits for the reader for as long as it was told to, whatever the writer is in the middle of.
    @Test(.timeLimit(.minutes(1))) func aFlushDoesNotWaitForAReaderForEver() {
        let tapped = Tapped(.info)
        let value = String(repeating: "x", count: 250)
        for _ in 0..<2000 { tapped.log.write(.info, "line") { $0.field("value", value) } }
        // A pipe holds less: the writer is stuck.
        #expect(!tapped.log.flushLines(within: .milliseconds(300)))
        #expect(!tapped.log.flushLines(within: .zero))
        // No other thread is held up by it, and another format is taken over.
        tapped.log.applySettings(level: .warning, format: .text)
        tapped.log.write(.warning, "later")
        #expect(!tapped.log.flushLines(within: .milliseconds(10)))
        let reader = Thread { [tapped] in while tapped.line() != "warning later" {} }
        reader.start()
        #expect(tapped.log.flushLines(within: .seconds(30)))
        #expect(tapped.log.flushLines(within: .zero), "nothing waits")
    }
}
