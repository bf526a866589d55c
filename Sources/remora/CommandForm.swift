/// One way to call Remora. The usage and the completions of shells are made of all of them, and a test compares the manual page with them.
struct CommandForm {
    /// The first argument; empty where it is an option.
    let name: String
    /// What follows it, as the usage shows it.
    let arguments: String
    /// What it does: one line, and further ones for the usage alone.
    let summary: [String]
    let options: [Option]

    /// What may follow, as far as a shell can complete it.
    enum Option {
        case flag(String, String)
        /// An option whose value is the path of a file.
        case file(String, String)
        /// An option whose value a shell does not know.
        case value(String, String)
        /// One of a few words.
        case word([String])
    }

    static let all = [
        CommandForm(
            name: "", arguments: "-c FILE", summary: ["run; - is standard input"],
            options: [.file("-c", "the configuration")]),
        CommandForm(
            name: "", arguments: "--backend URL [--listen HOST:PORT]", summary: ["run without a file"],
            options: [.value("--backend", "the server"), .value("--listen", "where clients reach Remora")]),
        CommandForm(
            name: "check", arguments: "-c FILE", summary: ["check a configuration"],
            options: [.file("-c", "the configuration")]),
        CommandForm(
            name: "schema", arguments: "", summary: ["print a JSON Schema of the configuration, for editors"],
            options: []),
        CommandForm(
            name: "demo", arguments: "[--once]", summary: ["start a demo server and Remora before it"],
            options: [.flag("--once", "end after one request")]),
        CommandForm(
            name: "keygen", arguments: "",
            summary: [
                "print a new key for replicas.keys;", "in a file that others cannot read:",
                "(umask 077; remora keygen > FILE)",
            ], options: []),
        CommandForm(
            name: "completion", arguments: Completion.names.joined(separator: "|"),
            summary: ["print the completions of a shell"], options: [.word(Completion.names)]),
        CommandForm(name: "version", arguments: "", summary: ["print the version"], options: []),
        CommandForm(
            name: "help", arguments: "[COMMAND]", summary: ["print this, or the usage of one command"], options: []),
    ]

    /// The first arguments that are no options.
    static var names: [String] { all.map(\.name).filter { !$0.isEmpty } }

    /// What `remora help` prints: all calls, or one with its options.
    static func usageText(of name: String?) -> String {
        let forms = name.map { name in all.filter { $0.name == name } } ?? all
        let lines = pairedLines(forms.map { (["remora", $0.name, $0.arguments].filter { !$0.isEmpty }, $0.summary) })
        let usage = lines.enumerated().map { ($0 == 0 ? "usage: " : "       ") + $1 }.joined(separator: "\n")
        guard name != nil else {
            return usage
                + "\n\nRemora lets clients of MCP 2026-07-28 use a server of an older revision. More is in remora(1)."
        }
        let options = pairedLines(forms.flatMap(\.options).compactMap(\.entry)).map { "  \($0)" }
        return ([usage] + (options.isEmpty ? [] : [""]) + options).joined(separator: "\n")
    }

    /// Two columns: words, and behind them their lines.
    private static func pairedLines(_ entries: [(words: [String], lines: [String])]) -> [String] {
        let width = (entries.map { $0.words.joined(separator: " ").count }.max() ?? 0) + 3
        return entries.flatMap { words, lines in
            lines.enumerated().map { index, line in
                let left = index == 0 ? words.joined(separator: " ") : ""
                return left + String(repeating: " ", count: width - left.count) + line
            }
        }
    }
}

extension CommandForm.Option {
    /// Its line of the help; nil where the usage says it all.
    fileprivate var entry: (words: [String], lines: [String])? {
        switch self {
        case .flag(let name, let text): ([name], [text])
        case .file(let name, let text): ([name, "FILE"], [text])
        case .value(let name, let text): ([name, "VALUE"], [text])
        case .word: nil
        }
    }
}
