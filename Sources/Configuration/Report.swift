/// Gathers everything that is wrong with one configuration, and the keys that its readers know.
final class Report {
    /// More than this a person does not read, and a hostile file must not fill memory with messages.
    private static let maxIssues = 100

    /// What stands before each message: the file's path, or the program's name where there is no file.
    private let file: String
    private let source: SourceText?
    private var issues: [ConfigurationIssue] = []
    private var omitted = 0
    /// The full names of the keys that were asked for, such as `limits.max_body`.
    private(set) var knownKeys: [String] = []

    init(file: String, source: SourceText?) {
        self.file = file
        self.source = source
    }

    /// What reading came to: everything that was found, in the order of the file, or `configuration` when that is
    /// nothing.
    func concludeReading(_ configuration: Configuration?) -> Result<Configuration, ConfigurationErrors> {
        guard issues.isEmpty else {
            let sorted = issues.sorted { ($0.line, $0.column) < ($1.line, $1.column) }
            return .failure(ConfigurationErrors(file: file, issues: sorted, omitted: omitted))
        }
        guard let configuration else {
            let message = "cannot be used, and nothing says why: please report the file, without what is secret in it"
            return .failure(ConfigurationErrors(file: file, message: message))
        }
        return .success(configuration)
    }

    /// How much was found to be wrong so far.
    var count: Int { issues.count + omitted }

    func noteKey(_ key: String) {
        knownKeys.append(key)
    }

    /// - Parameter showsLine: whether the line may be shown; not where it has a secret in it.
    func addIssue(_ message: @autoclosure () -> String, at origin: Node.Origin, showsLine: Bool = true) {
        switch origin {
        case .position(let position): addIssue(message(), at: .scalar(position), showsLine: showsLine)
        case .option: addIssue(message(), at: nil)
        }
    }

    func addIssue(_ message: @autoclosure () -> String, at position: Int) {
        addIssue(message(), at: .scalar(position))
    }

    /// `location` nil: about no place in particular. The message is not made when there are too many already.
    func addIssue(_ message: @autoclosure () -> String, at location: SourceText.Location?, showsLine: Bool = true) {
        guard issues.count < Self.maxIssues else {
            omitted += 1
            return
        }
        let place = location.flatMap { source?.readablePlace(of: $0) }
        issues.append(
            ConfigurationIssue(
                line: place?.line ?? 0, column: place?.column ?? 0, message: message(),
                excerpt: showsLine ? place?.excerpt : nil))
    }

    /// The number of the line that `position` is on.
    func lineNumber(of position: Int) -> Int {
        source?.lineNumber(of: .scalar(position)) ?? 0
    }
}
