import Glibc

extension Configuration {
    /// A configuration file is a page or two; what is larger was given by mistake.
    static let maxFileBytes = 1 << 20

    /// Reads the configuration in `text`, a YAML document in UTF-8 of at most 1 MiB.
    ///
    /// `file` is what messages call it. `environment` gives the value of the variable that `${NAME}` names, or nil.
    /// Fails with everything that is wrong, at once.
    package static func parseConfiguration(
        _ text: [UInt8], file: String, environment: (String) -> String?
    ) -> Result<Configuration, ConfigurationErrors> {
        decodeText(text, file: file, environment: environment).result
    }

    /// Reads the configuration file at `path` and the process' environment. Fails with everything that is wrong, at
    /// once; also when the file cannot be read.
    ///
    /// - Parameter mayWait: whether it may be a pipe, which may have to wait for its writer.
    package static func loadConfiguration(
        path: String, mayWait: Bool = true
    ) -> Result<Configuration, ConfigurationErrors> {
        readFile(path, mayWait: mayWait).flatMap { text in
            parseConfiguration(text, file: path) { name in
                // The text is copied before anything could change the environment: Remora itself never does.
                unsafe getenv(name).map { unsafe String(cString: $0) }
            }
        }
    }

    /// The configuration of `remora --backend URL [--listen ADDRESS]`: everything else has its default. Fails with
    /// messages that name the option.
    package static func forBackend(url: String, listen: String?) -> Result<Configuration, ConfigurationErrors> {
        func option(_ name: String, _ content: Node.Content) -> Node {
            Node(origin: .option(name), content: content)
        }
        func mapping(_ name: String, _ key: String, _ value: Node) -> Node {
            option(name, .mapping([Node.Entry(key: key, keyPosition: 0, value: value)]))
        }
        // The document that says the same, so that there is one way to read and check a value.
        let backend = option("--backend", .scalar(Scalar(url, isPlain: false)))
        var entries = [
            Node.Entry(
                key: "backends", keyPosition: 0,
                value: option("--backend", .list([mapping("--backend", "url", backend)])))
        ]
        if let listen {
            let address = option("--listen", .scalar(Scalar(listen, isPlain: false)))
            entries.append(Node.Entry(key: "listen", keyPosition: 0, value: mapping("--listen", "address", address)))
        }
        let report = Report(file: "remora", source: nil)
        return decodeRoot(option("--backend", .mapping(entries)), report: report).result
    }
}

extension Configuration {
    /// What came of reading a document.
    struct Decoded {
        let result: Result<Configuration, ConfigurationErrors>
        /// The full names of the keys that this version knows, as far as the document had their sections.
        let knownKeys: [String]
    }

    static func decodeText(_ text: [UInt8], file: String, environment: (String) -> String?) -> Decoded {
        guard text.count <= maxFileBytes else {
            let message = "larger than 1 MiB: give the path of a Remora configuration, which is a page or two"
            return Decoded(result: .failure(ConfigurationErrors(file: file, message: message)), knownKeys: [])
        }
        let source = SourceText(text)
        let report = Report(file: file, source: source)
        do throws(UTF8.ValidationError) {
            _ = try UTF8Span(validating: source.bytes.span)
        } catch {
            report.addIssue(
                "not UTF-8: save the file in that encoding, and remove this character",
                at: .byte(error.byteOffsets.lowerBound))
            return Decoded(result: report.concludeReading(nil), knownKeys: [])
        }
        guard var root = Composer.composeRoot(source, report: report) else {
            return Decoded(result: report.concludeReading(nil), knownKeys: [])
        }
        var expansion = EnvironmentExpansion(report: report)
        expansion.expandNode(&root, from: environment)
        return decodeRoot(root, report: report)
    }

    private static func decodeRoot(_ root: Node, report: Report) -> Decoded {
        let configuration = Section.readSection(root, path: "", in: report, at: root.origin) { Configuration(&$0) }
        return Decoded(result: report.concludeReading(configuration), knownKeys: report.knownKeys)
    }
}
