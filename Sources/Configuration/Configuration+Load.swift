import Glibc

extension Configuration {
    /// A configuration file is a page or two; what is larger was given by mistake.
    private static let maxFileBytes = 1 << 20

    /// Reads the configuration in `text`, a YAML document in UTF-8 of at most 1 MiB.
    ///
    /// `file` is what messages call it. `environment` gives the value of the variable that `${NAME}` names, or nil.
    /// Fails with everything that is wrong, at once.
    package static func parse(
        _ text: [UInt8], file: String, environment: (String) -> String?
    ) -> Result<Configuration, ConfigurationErrors> {
        decode(text, file: file, environment: environment).result
    }

    /// Reads the configuration file at `path` and the process' environment. Fails with everything that is wrong, at
    /// once; also when the file cannot be read.
    package static func load(path: String) -> Result<Configuration, ConfigurationErrors> {
        let text: [UInt8]
        switch read(path) {
        case .success(let bytes): text = bytes
        case .failure(let errors): return .failure(errors)
        }
        return parse(text, file: path) { name in
            // The text is copied before anything could change the environment: Remora itself never does.
            unsafe getenv(name).map { unsafe String(cString: $0) }
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
        return decode(option("--backend", .mapping(entries)), report: report).result
    }
}

extension Configuration {
    /// What came of reading a document.
    struct Decoded {
        let result: Result<Configuration, ConfigurationErrors>
        /// The full names of the keys that this version knows, as far as the document had their sections.
        let knownKeys: [String]
    }

    static func decode(_ text: [UInt8], file: String, environment: (String) -> String?) -> Decoded {
        guard text.count <= maxFileBytes else {
            return Decoded(result: .failure(tooLarge(file)), knownKeys: [])
        }
        let source = SourceText(text)
        let report = Report(file: file, source: source)
        do throws(UTF8.ValidationError) {
            _ = try UTF8Span(validating: source.bytes.span)
        } catch {
            report.add(
                "not UTF-8: save the file in that encoding, and remove this character",
                at: .byte(error.byteOffsets.lowerBound))
            return Decoded(result: .failure(report.errors!), knownKeys: [])
        }
        var root = Composer.compose(source, report: report)
        if root != nil {
            var expansion = EnvironmentExpansion(report: report)
            expansion.expand(&root!, from: environment)
        }
        return decode(root, report: report)
    }

    private static func decode(_ root: Node?, report: Report) -> Decoded {
        // Without a root the reason is reported, and every key would only seem to be missing.
        let node = root ?? Node(origin: .position(0), content: .refused)
        let configuration = Section.read(node, path: "", in: report, at: node.origin) { Configuration(&$0) }
        if let errors = report.errors { return Decoded(result: .failure(errors), knownKeys: report.knownKeys) }
        guard let configuration else { preconditionFailure("no configuration, and nothing said why") }
        return Decoded(result: .success(configuration), knownKeys: report.knownKeys)
    }

    private static func tooLarge(_ file: String) -> ConfigurationErrors {
        failure(file, "larger than 1 MiB: give the path of a Remora configuration, which is a page or two")
    }

    private static func failure(_ file: String, _ message: String) -> ConfigurationErrors {
        let report = Report(file: file, source: nil)
        report.add(message, at: nil)
        return report.errors!
    }

    /// The bytes of a file, one more than allowed at most. A pipe will do as well, as shells give for `<(...)`.
    static func read(_ path: String) -> Result<[UInt8], ConfigurationErrors> {
        let descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return .failure(unreadable(path, errno)) }
        defer { close(descriptor) }
        var text: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 64 << 10)
        while text.count <= maxFileBytes {
            // `read` writes no more than the count it is given, which is the chunk's.
            let count = unsafe chunk.withUnsafeMutableBytes { unsafe Glibc.read(descriptor, $0.baseAddress, $0.count) }
            if count == 0 { break }
            if count > 0 {
                text += chunk[..<count]
            } else if errno != EINTR {
                return .failure(unreadable(path, errno))
            }
        }
        return .success(text)
    }

    private static func unreadable(_ path: String, _ code: CInt) -> ConfigurationErrors {
        let advice =
            switch code {
            case ENOENT: "check the path after -c, or start without a file by remora --backend URL"
            case EACCES: "let the user that Remora runs as read it"
            case EISDIR: "give the path of the file in it"
            default: "check the path after -c"
            }
        // `strerror` gives a text that stays until its next call, and is copied here.
        let reason = unsafe String(cString: strerror(code))
        return failure(path, "cannot be read (\(reason)): \(advice)")
    }
}
