import Testing

@testable import Configuration

@Suite struct EnvironmentTests {
    private static let environment = [
        "PORT": "9000", "HOST": "127.0.0.1", "TTL": "7s", "EMPTY": "", "STRUCTURE": "info, format: text}\nthreads: 9",
        "SECRET": "hunter2", "_a1": "x", "NESTED": "${PORT}", "BIG": String(repeating: "x", count: 600_000),
    ]

    private func read(_ text: String) -> Result<Configuration, ConfigurationErrors> {
        parse(text, environment: Self.environment)
    }

    @Test func takesValuesAnywhereInAScalar() throws {
        let configuration = try read(
            """
            backends:
              - url: http://${HOST}:${PORT}/${_a1}${EMPTY}
            cache:
              ttl: ${TTL}
            """
        ).get()
        #expect(configuration.backend.url?.hostField == "127.0.0.1:9000")
        #expect(configuration.backend.url?.target == "/x")
        #expect(configuration.cache.ttl == .seconds(7))
    }

    @Test(arguments: [
        ("'/$${HOST}'", nil), ("/$$5", "/$$5"), ("/$", "/$"), ("/$HOST", "/$HOST"), ("\"/a${EMPTY}b\"", "/ab"),
        ("'/$$$'", "/$$$"),
    ])
    func dollars(_ written: String, _ path: String?) {
        #expect((try? read(withBackend("listen: {path: \(written)}")).get().listen.path) == path)
    }

    @Test func escapedBraceIsText() {
        #expect(
            printed(withBackend("listen: {path: '$${HOST}'}"), environment: Self.environment)
                == """
                remora.yaml:2:16: listen.path must begin with /, such as /mcp, got "$${HOST}"
                    2 | listen: {path: '$${HOST}'}
                      |                ^
                """)
    }

    @Test func valueNeverBecomesStructure() {
        #expect(
            printed(withBackend("log: {level: \"${STRUCTURE}\"}"), environment: Self.environment)
                == """
                remora.yaml:2:14: log.level must be one of error, warning, info, debug, got "${STRUCTURE}" (its value is \
                not shown)
                    2 | log: {level: "${STRUCTURE}"}
                      |              ^
                """)
    }

    @Test func valueIsNotExpandedAgain() {
        #expect((try? read("backends: [{url: \"http://a:${NESTED}\"}]").get()) == nil)
    }

    @Test(arguments: [
        "threads: ${SECRET}", "listen: {address: '${SECRET}', path: '${SECRET}'}", "cache: {ttl: '${SECRET}'}",
        "listen: {allowed_hosts: ['${SECRET}/'], allowed_origins: ['${SECRET}']}", "limits: {max_body: '${SECRET}'}",
        "sessions: {isolate_by: ['${SECRET}']}", "limits: '${SECRET}'", "log: ['${SECRET}']", "'${SECRET}': 1",
        "backends: [{url: 'https://${SECRET}'}, {url: '${SECRET}'}]", "listen: {legacy_clients: '${SECRET}'}",
    ])
    func valueIsNeverShown(_ text: String) {
        let report = printed(text, environment: Self.environment)
        #expect(report.contains("${SECRET}"))
        #expect(!report.contains("hunter2"))
    }

    @Test func unsetVariable() {
        #expect(
            printed(withBackend("threads: ${THREADS}"))
                == """
                remora.yaml:2:10: the environment variable THREADS is not set: start Remora with it, as by THREADS=VALUE \
                remora -c FILE, or write the value here in place of ${THREADS}
                    2 | threads: ${THREADS}
                      |          ^
                """)
    }

    @Test(arguments: ["${}", "${", "${A", "${1A}", "${A B}", "${A-default}", "${é}", "${${HOST}}", "/${A\0}"])
    func notAName(_ written: String) {
        let escaped = written.replacing("\0", with: #"\0"#)
        #expect(
            printed(withBackend("listen: {path: \"\(escaped)\"}"), environment: Self.environment)
                == """
                remora.yaml:2:16: ${ must be followed by the name of an environment variable (letters, digits, _) and }; \
                write $${ where the text ${ itself is meant
                    2 | listen: {path: "\(escaped)"}
                      |                ^
                """)
    }

    @Test func keysAndCommentsAreNotExpanded() {
        #expect(printed(withBackend("# ${UNSET}\n"), environment: [:]) == "")
        #expect(printed(withBackend("${HOST}: 1"), environment: Self.environment).contains("unknown key \"${HOST}\""))
    }

    @Test func emptyValueIsAValue() {
        #expect(
            printed(withBackend("threads: ${EMPTY}"), environment: Self.environment)
                == """
                remora.yaml:2:10: threads must be a whole number between 1 and 64, got "${EMPTY}" (its value is not shown)
                    2 | threads: ${EMPTY}
                      |          ^
                """)
    }

    @Test func valuesAreLimitedTogether() {
        let report = printed(
            withBackend("listen: {allowed_hosts: ['${BIG}', '${BIG}', '${BIG}']}"), environment: Self.environment)
        #expect(report.contains("2:26: listen.allowed_hosts[0] must be at most 8192 bytes long\n"))
        #expect(report.contains("2:36: the environment's values are longer than 1 MiB together: shorten them\n"))
        #expect(report.split(separator: "\n").count == 6)
    }
}
