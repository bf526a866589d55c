import Glibc
import Testing

@testable import Configuration

/// `store`, and what it needs beside it.
@Suite struct StoreTests {
    /// A group that needs no peers where there is a store. Its key is that of a file that is there while `body` runs.
    private static func withGroup(_ store: String, _ replicas: String, _ body: (String) throws -> Void) throws {
        let path = "/tmp/remora-store-test.\(getpid()).\(UInt32.random(in: 0 ... .max))"
        let descriptor = open(path, O_WRONLY | O_CREAT | O_EXCL, 0o600)
        try #require(descriptor >= 0)
        let key = String(repeating: "0123456789abcdef", count: 4)
        _ = write(descriptor, key, key.utf8.count)
        close(descriptor)
        defer { unlink(path) }
        try body(withBackend("store: {\(store)}\nreplicas: {id: a, keys: [\(path)], \(replicas)}"))
    }

    @Test func noneByDefault() throws {
        let none = try parse(withBackend("")).get().store
        #expect(none == nil)
        let off = try parse(withBackend("store: {url: 'off'}")).get().store
        #expect(off == nil)
    }

    @Test(arguments: [
        ("redis://127.0.0.1:6379/0", StoreURL(host: "127.0.0.1", port: 6379, database: 0, isSecure: false)),
        ("redis://redis.internal", StoreURL(host: "redis.internal", port: 6379, database: 0, isSecure: false)),
        ("redis://[::1]:1/", StoreURL(host: "::1", port: 1, database: 0, isSecure: false)),
        ("rediss://r:6380/15", StoreURL(host: "r", port: 6380, database: 15, isSecure: true)),
        (
            "unix:/run/redis.sock",
            StoreURL(host: "localhost", port: 6379, database: 0, isSecure: false, socketPath: "/run/redis.sock")
        ),
    ])
    func urls(text: String, url: StoreURL) throws {
        #expect(try StoreURL(parsing: text) == url)
    }

    @Test(arguments: [
        "", "on", "redis:", "redis://", "redis://:6379", "redis://h:0", "redis://h:65536", "redis://h/x",
        "redis://h/-1",
        "redis://h/1/2", "redis://h/99999999999999999999", "redis://h?db=1", "redis://h#1", "http://h", "unix:",
        "unix:x",
        "unix:/x/", "redis://u@h",
    ])
    func noURLs(text: String) {
        #expect(throws: FormatError.self) { try StoreURL(parsing: text) }
    }

    @Test func whatItIsCalled() throws {
        for text in ["redis://h:1/2", "rediss://[::1]:6379/0", "unix:/run/redis.sock"] {
            #expect(try StoreURL(parsing: text).name == text)
        }
    }

    @Test func aGroupNeedsNoPeers() throws {
        try Self.withGroup("url: 'redis://h', password: '${P}', prefix: 'x'", "address: '10.0.0.5:1'") { text in
            let configuration = try parse(text, environment: ["P": "p w"]).get()
            let store = try #require(configuration.store)
            #expect(store.password == "p w" && store.prefix == "x" && store.tls == nil)
            let group = try #require(configuration.replicas.group)
            #expect(group.peers.isEmpty && group.advertised == nil)
        }
    }

    @Test func whereOthersReachIt() throws {
        for address in [":1", "0.0.0.0:1", "'[::]:1'"] {
            try Self.withGroup("url: 'redis://h'", "address: '\(address.replacing("'", with: ""))'") { text in
                #expect(printed(text).contains("replicas.advertise is missing"))
            }
            let given = "address: '\(address.replacing("'", with: ""))', advertise: 'http://pod-1:2'"
            try Self.withGroup("url: 'redis://h'", given) { text in
                let group = try #require(try parse(text).get().replicas.group)
                #expect(group.advertised == .init(id: "a", host: "pod-1", port: 2))
            }
        }
        try Self.withGroup("url: 'redis://h'", "address: '10.0.0.5:1', advertise: 'https://h:1'") { text in
            #expect(printed(text).contains("replicas.advertise must be auto, or where"))
        }
    }

    @Test func aStoreNeedsAGroup() {
        let shown = printed(withBackend("store: {url: 'redis://h'}"))
        for key in ["id", "address", "keys"] { #expect(shown.contains("replicas.\(key) is missing"), "\(shown)") }
        #expect(!shown.contains("replicas.peers"))
    }

    @Test func sharedSessionsNeedAStore() throws {
        let group = "address: '10.0.0.5:1'"
        try Self.withGroup("url: 'redis://h'", group) { text in
            let usual = try parse(text).get().sessions.shared
            let shared = try parse(text + "\nsessions: {shared: store}").get().sessions.shared
            #expect(usual == .off && shared == .store)
            #expect(printed(text + "\nsessions: {shared: on}").contains("must be one of off, store"))
        }
        let alone = printed(withBackend("sessions: {shared: store}"))
        #expect(alone.contains("store.url is missing: sessions.shared needs a store"))
        // What is wrong with the store is said, and nothing else.
        let faulty = printed(withBackend("store: {url: x}\nsessions: {shared: store}"))
        #expect(faulty.contains("store.url must be") && !faulty.contains("store.url is missing"))
        try Self.withGroup("url: 'redis://h'", "\(group), cues: 'off'") { text in
            #expect(
                printed(text + "\nsessions: {shared: store}").contains("replicas.cues must be on with sessions.shared"))
        }
    }

    @Test func sessionsOfOneProcessAreNotShared() throws {
        try Self.withGroup("url: 'redis://h'", "address: '10.0.0.5:1'") { text in
            let shared = text + "\nsessions: {shared: store}"
            let pinned = shared.replacing("{url: http://b}", with: "{url: http://b, pin_connection: true}")
            #expect(printed(pinned).contains("sessions.shared cannot go with backends[].pin_connection"))
            let command = shared.replacing("{url: http://b}", with: "{command: [/bin/true]}")
            #expect(printed(command).contains("sessions.shared is for servers at a URL"))
        }
    }

    /// Also not by the line that a message shows.
    @Test(arguments: [
        "url: 'redis://:hunter2@h'", "url: 'redis://hunter2@h/x y'", "url: 'ftp://hunter2@h'", "password: [hunter2]",
        "password: {hunter2: x}", "password: hunter2",
        "url: 'redis://h', password: \(String(repeating: "hunter2", count: 2000))",
    ])
    func aPasswordIsNeverShown(store: String) {
        let shown = printed(withBackend("store: {\(store)}"))
        #expect(shown.contains("store.") && !shown.contains("hunter2"), "\(shown)")
    }

    @Test func tlsGoesWithRediss() throws {
        try Self.withGroup("url: 'redis://h', tls: {server_name: x}", "address: '10.0.0.5:1'") { text in
            #expect(printed(text).contains("store.tls.server_name is of no use for a URL without TLS"))
        }
        try Self.withGroup("url: 'rediss://h'", "address: '10.0.0.5:1'") { text in
            let store = try #require(try parse(text).get().store)
            #expect(store.tls != nil)
        }
    }
}
