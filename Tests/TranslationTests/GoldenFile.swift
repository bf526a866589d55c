import Foundation
import Testing

/// A golden file: one row of the contract between the two eras, as the exact texts that go over the wire.
///
/// The first two lines are a title and the row's reference. Each section begins with a line `== NAME`; its text is what
/// follows up to the next section, without the last line break, byte for byte.
///
/// | Section | Meaning |
/// |---|---|
/// | `revision` | what the session negotiated; 2025-11-25 without it |
/// | `cache` | `ttlMs` and scope; `30000 private` without it |
/// | `push channel` | whether there is one: `yes`, or `no` as without it |
/// | `modern request` | from the client |
/// | `modern headers` | of a trace, beside the request: `name: value` on each line |
/// | `legacy request` | what goes to the server for it |
/// | `legacy headers` | of a trace, beside that |
/// | `initialize request` | what opens the session that it needs |
/// | `initialize result` | the server's answer to that: the `result` alone |
/// | `legacy notifications` | from the server during the call, one a line |
/// | `modern notifications` | those that go to the client, one a line |
/// | `legacy response` | from the server |
/// | `modern response` | what goes to the client for it |
/// | `lane` | `exclusive` for a session that serves one call alone; `shared` without it |
/// | `legacy questions` | requests of the server during the call, one a line; `modern response` asks them |
/// | `legacy refusals` | responses to those of them that the client cannot be asked, one a line |
/// | `required capabilities` | what it would have had to declare |
/// | `modern retry` | from the client, with answers |
/// | `legacy answers` | responses to the server's questions for it, one a line |
/// | `wrong answer` | why none of the answers goes to the server |
/// | `leftovers` | responses to the server's questions when the client stays away, one a line |
/// | `legacy task request` | what goes to the server for it where it is made a task, for an hour |
/// | `legacy task` | what the server says of the task then; `legacy response` is the answer to `tasks/result` |
/// | `handles` | `optional` or `required`: the list of tools is as with handles, `… later page` without Remora's own tools. A call has one that
/// the server is not told of; `own`: but the argument is the tool's |
/// | `refused` | why there is nothing that can go to the client |
struct GoldenFile: Sendable, CustomTestStringConvertible {
    enum Section: String, CaseIterable, Sendable {
        case revision, cache, refused, lane, leftovers, handles
        case legacyTaskRequest = "legacy task request"
        case legacyTask = "legacy task"
        case legacyQuestions = "legacy questions"
        case legacyRefusals = "legacy refusals"
        case requiredCapabilities = "required capabilities"
        case modernRetry = "modern retry"
        case legacyAnswers = "legacy answers"
        case wrongAnswer = "wrong answer"
        case pushChannel = "push channel"
        case modernRequest = "modern request"
        case modernHeaders = "modern headers"
        case legacyRequest = "legacy request"
        case legacyHeaders = "legacy headers"
        case initializeRequest = "initialize request"
        case initializeResult = "initialize result"
        case legacyNotifications = "legacy notifications"
        case modernNotifications = "modern notifications"
        case legacyResponse = "legacy response"
        case modernResponse = "modern response"
    }

    /// What is wrong with a golden file itself.
    struct Malformed: Error { let what: String }

    let name: String
    let title: String
    let reference: String
    private let sections: [Section: String]

    var testDescription: String { "\(name): \(title)" }

    subscript(section: Section) -> String? { sections[section] }

    var names: Set<Section> { Set(sections.keys) }

    init(name: String, text: String) throws(Malformed) {
        let lines = text.split(separator: "\n", omittingEmptySubsequences: false)
        guard lines.count > 2, lines.last == "" else { throw Malformed(what: "no end of line at its end") }
        self.name = name
        title = String(lines[0])
        reference = String(lines[1])
        var sections: [Section: [Substring]] = [:]
        var current: Section?
        for line in lines[2...].dropLast() {
            if line.starts(with: "== ") {
                guard let section = Section(rawValue: String(line.dropFirst(3))) else {
                    throw Malformed(what: "unknown section: \(line)")
                }
                guard sections[section] == nil else { throw Malformed(what: "twice: \(line)") }
                sections[section] = []
                current = section
            } else if let current {
                sections[current, default: []].append(line)
            } else if line != "" {
                throw Malformed(what: "text before the first section: \(line)")
            }
        }
        self.sections = sections.mapValues { $0.joined(separator: "\n") }
    }

    /// The directory beside this source file.
    static let directory = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "Golden")

    /// All of them, by name. An unreadable one stops the tests: it must not be passed over.
    static let all: [GoldenFile] = {
        do {
            let names = try FileManager.default.contentsOfDirectory(atPath: directory.path)
            return try names.filter { $0.hasSuffix(".txt") }.sorted().map { file in
                let text = try String(contentsOf: directory.appending(path: file), encoding: .utf8)
                return try GoldenFile(name: String(file.dropLast(4)), text: text)
            }
        } catch {
            preconditionFailure("a golden file cannot be read: \(error)")
        }
    }()
}
