import Glibc
import Testing

@testable import Configuration

/// `replicas`: what goes together, and the files with keys.
@Suite struct ReplicasTests {
    private static let key = String(repeating: "0123456789abcdef", count: 4)
    private static let other = String(repeating: "fedcba9876543210", count: 4)

    /// Files that are there while `body` runs; each gets its content and its mode.
    private static func withFiles<Value>(
        _ contents: [(text: String, mode: mode_t)], _ body: ([String]) throws -> Value
    ) throws -> Value {
        var paths: [String] = []
        defer { for path in paths { unlink(path) } }
        for (index, file) in contents.enumerated() {
            let path = "/tmp/remora-key-test.\(getpid()).\(UInt32.random(in: 0 ... .max)).\(index)"
            let descriptor = open(path, O_WRONLY | O_CREAT | O_EXCL, 0o600)
            try #require(descriptor >= 0)
            _ = write(descriptor, file.text, file.text.utf8.count)
            fchmod(descriptor, file.mode)
            close(descriptor)
            paths.append(path)
        }
        return try body(paths)
    }

    private static func document(_ replicas: String) -> String { withBackend("replicas: {\(replicas)}") }

    @Test func aloneByDefault() throws {
        let replicas = try parse(withBackend("")).get().replicas
        #expect(replicas.keys.isEmpty && replicas.group == nil)
    }

    @Test func keysMayBeGivenAlone() throws {
        try Self.withFiles([(Self.key, 0o600), (Self.other + "\n", 0o440)]) { paths in
            let replicas = try parse(Self.document("keys: [\(paths[0]), \(paths[1])]")).get().replicas
            #expect(replicas.keys.map(\.count) == [32, 32])
            #expect(replicas.keys[0].prefix(2) == [0x01, 0x23] && replicas.keys[1].prefix(2) == [0xFE, 0xDC])
            #expect(replicas.group == nil)
        }
    }

    @Test func aGroup() throws {
        try Self.withFiles([(Self.key, 0o600)]) { paths in
            let text = Self.document(
                "id: a, address: ':8809', cues: 'off', keys: [\(paths[0])], "
                    + "peers: {c: 'http://[::1]:3', a: 'http://10.0.0.5:8809/', b: 'http://remora-b:2'}")
            let group = try #require(try parse(text).get().replicas.group)
            #expect(group.id == "a" && group.address == "::" && group.port == 8809 && !group.sharesChangeNotices)
            #expect(
                group.peers
                    == [.init(id: "b", host: "remora-b", port: 2), .init(id: "c", host: "::1", port: 3)])
        }
    }

    @Test(arguments: [
        ("id: a", ["replicas.address is missing", "replicas.peers must name another", "replicas.keys is missing"]),
        ("address: 'localhost:1'", ["replicas.id is missing", "replicas.peers must name", "replicas.keys is missing"]),
        ("peers: {b: http://b:1}", ["replicas.id is missing", "replicas.address is", "replicas.keys is"]),
        (
            "id: a, address: 'localhost:1', keys: [KEY], peers: {a: http://a:1}",
            ["replicas.peers must name another replica"]
        ),
        ("id: a, address: 'localhost:1', keys: [KEY], peers: {b: http://b:1/x}", ["replicas.peers.b must be the"]),
        ("id: a, address: 'localhost:1', keys: [KEY], peers: {b: http://b}", ["replicas.peers.b must be the"]),
        ("id: a, address: 'localhost:1', keys: [KEY], peers: {b: https://b:1}", ["replicas.peers.b must be the"]),
        ("id: a, address: 'localhost:1', keys: [KEY], peers: {'b c': http://b:1}", ["a name in replicas.peers must"]),
        ("id: a, address: 'localhost:1', keys: [KEY], peers: [b]", ["replicas.peers must be a mapping"]),
        ("id: 'a/b', address: 'localhost:1', keys: [KEY], peers: {b: http://b:1}", ["replicas.id must be off, or"]),
        (
            "id: a, address: 'localhost:1', keys: [KEY], peers: {b: http://x:1, c: http://x:1}",
            ["replicas.peers must have a URL of its own for each replica: b and c"]
        ),
        (
            "id: a, address: '127.0.0.1:8808', keys: [KEY], peers: {b: http://b:1}",
            ["replicas.address must not be that of listen.address"]
        ),
        (
            "id: a, address: ':8808', keys: [KEY], peers: {b: http://b:1}",
            ["replicas.address must not be that of listen.address"]
        ),
        ("id: a, address: 'localhost:1', keys: [], peers: {b: http://b:1}", ["replicas.keys is missing"]),
        ("cues: maybe", ["replicas.cues must be one of on, off"]),
        ("keys: [KEY, KEY]", ["replicas.keys must have each key once"]),
        ("keys: [/nonexistent]", ["replicas.keys[0] must be a file that can be read (No such file"]),
        ("keys: [/]", ["replicas.keys[0] must be a plain file"]),
        ("keys: [/dev/zero]", ["replicas.keys[0] must be a plain file"]),
    ])
    func mistakes(_ text: String, _ messages: [String]) throws {
        try Self.withFiles([(Self.key, 0o600)]) { paths in
            let shown = printed(Self.document(text.replacing("KEY", with: paths[0])))
            for message in messages { #expect(shown.contains(message), "\(shown)") }
            #expect(shown.split(separator: "\n").count { $0.contains("replicas.") } == messages.count, "\(shown)")
            #expect(!shown.contains(Self.key))
        }
    }

    @Test(arguments: [
        (key, mode_t(0o644), "must be a file that not everybody can read"), (key, 0o602, "must be a file that not"),
        ("", 0o600, "must be a file with 32 random bytes"), ("# a key\n" + key, 0o600, "must be a file with 32"),
        (String(repeating: key, count: 100), 0o600, "must be a file with 32"),
        (key + "\n\n", 0o600, "must be a file with"),
    ])
    func filesWithoutAKey(_ text: String, _ mode: mode_t, _ message: String) throws {
        try Self.withFiles([(text, mode)]) { paths in
            let shown = printed(Self.document("keys: [\(paths[0])]"))
            #expect(shown.contains("replicas.keys[0] \(message)"), "\(shown)")
            #expect(!shown.contains("0123456789"))
        }
    }

    @Test func tooManyKeys() throws {
        let start = String(Self.key.dropLast(2))
        let texts: [(text: String, mode: mode_t)] = (10..<27).map { (text: "\(start)\($0)", mode: 0o600) }
        try Self.withFiles(texts) { paths in
            #expect(printed(Self.document("keys: [\(paths.prefix(16).joined(separator: ", "))]")).isEmpty)
            #expect(printed(Self.document("keys: [\(paths.joined(separator: ", "))]")).contains("at most 16 files"))
        }
    }
}
