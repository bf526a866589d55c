/// Everything that is wrong with a configuration, at once.
package struct ConfigurationErrors: Error, Equatable, CustomStringConvertible {
    /// The path of the file, or `remora` when the fault is in the command line.
    package let file: String
    /// In the order of the file; never empty.
    package let issues: [ConfigurationIssue]
    /// How many more there were than `issues` keeps.
    let omitted: Int

    init(file: String, issues: [ConfigurationIssue], omitted: Int) {
        self.file = file
        self.issues = issues
        self.omitted = omitted
    }

    /// One issue, about no place in the file.
    init(file: String, message: String) {
        let issue = ConfigurationIssue(line: 0, column: 0, message: message, excerpt: nil)
        self.init(file: file, issues: [issue], omitted: 0)
    }

    /// A line for each issue, with its place and without the line of the file; for a log.
    package var lines: [String] {
        var lines = issues.map { "\(issuePlace(of: $0)): \($0.message)" }
        if omitted > 0 { lines.append("\(file.printable): and \(omitted) more errors") }
        return lines
    }

    private func issuePlace(of issue: ConfigurationIssue) -> String {
        file.printable + (issue.line == 0 ? "" : ":\(issue.line):\(issue.column)")
    }

    /// What to print: for each issue its place and message, then the line with a caret. Holds no value from the
    /// environment. Ends without a line feed.
    package var description: String {
        var lines = issues.map { issue in
            "\(issuePlace(of: issue)): \(issue.message)" + (issue.excerpt.map { "\n\($0)" } ?? "")
        }
        if omitted > 0 { lines.append("\(file.printable): and \(omitted) more errors") }
        return lines.joined(separator: "\n")
    }
}

/// One thing that is wrong, and what to do about it.
package struct ConfigurationIssue: Sendable, Equatable {
    /// From 1; 0 when the issue is about no place in a file.
    package let line: Int
    /// From 1, in characters as an editor counts them; 0 when the issue is about no place in a file.
    package let column: Int
    package let message: String
    /// The line with a caret below the column.
    let excerpt: String?
}
