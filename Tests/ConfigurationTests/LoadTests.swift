import Testing

@testable import Configuration

/// Files on disk, the ones that come with Remora among them, and the options that stand for a file.
@Suite struct LoadTests {
    private static let root = String(#filePath.split(separator: "/").dropLast(3).joined(separator: "/"))

    private static func path(_ name: String) -> String { "/\(root)/\(name)" }

    private static func bytes(_ name: String) throws -> [UInt8] {
        try Configuration.readFile(path(name)).get()
    }

    @Test func leastFileIsTheOptionForItsURL() throws {
        let file = try Configuration.loadConfiguration(path: Self.path("conf/remora.yaml")).get()
        #expect(try file == Configuration.forBackend(url: "http://127.0.0.1:9000/mcp", listen: nil).get())
    }

    @Test func fullFileHasTheDefaults() throws {
        let full = try Configuration.loadConfiguration(path: Self.path("conf/remora.full.yaml")).get()
        #expect(try full == Configuration.loadConfiguration(path: Self.path("conf/remora.yaml")).get())
    }

    @Test func fullFileHasEveryKey() throws {
        let text = try Self.bytes("conf/remora.full.yaml")
        let decoded = Configuration.decodeText(text, file: "full") { _ in nil }
        let settings = Self.settings(in: try #require(Self.tree(text)))
        #expect(settings.map(\.key).sorted() == decoded.knownKeys.sorted())
    }

    @Test func referenceHasEveryKeyWithItsDefault() throws {
        let reference = String(decoding: try Self.bytes("docs/configuration.md"), as: UTF8.self)
        let root = try #require(Self.tree(try Self.bytes("conf/remora.full.yaml")))
        for setting in Self.settings(in: root) {
            guard let value = setting.value else { continue }
            let fallback = setting.key == "backends[0].url" ? "required" : "`\(value)`"
            #expect(reference.contains("\n| `\(setting.key)` | \(fallback) |"), "\(setting.key)")
        }
    }

    private struct Setting {
        /// The full name.
        let key: String
        /// As it is written; nil for a section.
        let value: String?
    }

    /// The keys below `node`.
    private static func settings(in node: Node, path: String = "") -> [Setting] {
        guard case .mapping(let entries) = node.content else { return [] }
        return entries.flatMap { entry -> [Setting] in
            let name = path.isEmpty ? entry.key : "\(path).\(entry.key)"
            switch entry.value.content {
            case .scalar(let scalar):
                return [Setting(key: name, value: scalar.written)]
            case .list(let items):
                let texts = items.compactMap { item in
                    if case .scalar(let scalar) = item.content { scalar.written } else { nil }
                }
                guard texts.count == items.count else {
                    return [Setting(key: name, value: nil)]
                        + items.enumerated().flatMap { settings(in: $1, path: "\(name)[\($0)]") }
                }
                return [Setting(key: name, value: "[\(texts.joined(separator: ", "))]")]
            case .mapping, .refused:
                return [Setting(key: name, value: nil)] + settings(in: entry.value, path: name)
            }
        }
    }

    private static func tree(_ text: [UInt8]) -> Node? {
        let source = SourceText(text)
        return Composer.composeRoot(source, report: Report(file: "full", source: source))
    }

    @Test func missingFile() {
        #expect(
            Self.message(Configuration.loadConfiguration(path: "/nonexistent/remora.yaml"))
                == "/nonexistent/remora.yaml: cannot be read (No such file or directory): check the path after -c, or start "
                + "without a file by remora --backend URL")
    }

    @Test func directory() {
        #expect(
            Self.message(Configuration.loadConfiguration(path: "/"))
                == "/: cannot be read (Is a directory): give the path of the file in it")
    }

    @Test func endlessFile() {
        #expect(
            Self.message(Configuration.loadConfiguration(path: "/dev/zero"))
                == "/dev/zero: larger than 1 MiB: give the path of a Remora configuration, which is a page or two")
    }

    @Test func options() throws {
        let literal = Configuration.forBackend(url: "http://b:1/${x}", listen: nil)
        #expect(Self.message(literal).hasPrefix("remora: --backend must have a path of plain URL characters"))
        let listening = try Configuration.forBackend(url: "http://b:1/x", listen: "[::1]:80").get()
        #expect(listening.backend.url == BackendURL(host: "b", port: 1, target: "/x", hostField: "b:1"))
        #expect(listening.listen.address == .tcp(host: "::1", port: 80))
    }

    @Test func faultyOptionsAreNamedTogether() {
        #expect(
            Self.message(Configuration.forBackend(url: "", listen: "80"))
                == """
                remora: --listen must be HOST:PORT with a numeric address or localhost, such as 127.0.0.1:8808 or \
                "[::1]:8808" (in quotes), :8808 for all interfaces, or unix: and the path of a socket, got "80"
                remora: --backend must be a URL such as http://127.0.0.1:9000/mcp, got ""
                """)
    }

    private static func message(_ result: Result<Configuration, ConfigurationErrors>) -> String {
        switch result {
        case .success: ""
        case .failure(let errors): errors.description
        }
    }

    /// A loop that serves clients reads it, and must not have to wait for the other end.
    @Test func onlyAFileIsReadAnew() {
        #expect(
            Self.message(Configuration.loadConfiguration(path: "/dev/zero", mayWait: false))
                == "/dev/zero: is no plain file, and only such can be read anew: start Remora with the path of a file")
        #expect(
            Self.message(Configuration.loadConfiguration(path: "/", mayWait: false))
                == "/: cannot be read (Is a directory): give the path of the file in it")
        let file = Self.path("conf/remora.yaml")
        #expect(
            Configuration.loadConfiguration(path: file, mayWait: false) == Configuration.loadConfiguration(path: file))
    }
}
