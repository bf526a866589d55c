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
        CommandForm(name: "help", arguments: "", summary: ["print this"], options: []),
    ]

    static var usage: String {
        let calls = all.map { form in
            (["remora", form.name, form.arguments].filter { !$0.isEmpty }).joined(separator: " ")
        }
        let width = (calls.map(\.count).max() ?? 0) + 3
        let lines = zip(calls, all).flatMap { call, form in
            form.summary.enumerated().map { index, text in
                let left = index == 0 ? call : ""
                return left + String(repeating: " ", count: width - left.count) + text
            }
        }
        return lines.enumerated().map { ($0 == 0 ? "usage: " : "       ") + $1 }.joined(separator: "\n")
            + "\n\nRemora lets clients of MCP 2026-07-28 use a server of an older revision. More is in remora(1)."
    }
}
