import Testing

@testable import Gateway

/// Which requests are those of older revisions, where these are let through (the translation contract, §13).
@Suite struct LegacyAdmissionTests {
    private static let rows: [(name: String, outcome: String, change: @Sendable (inout Knock) -> Void)] = [
        (
            "GET", "legacy",
            {
                $0.isLegacy()
                $0.httpMethod = "GET"
            }
        ),
        (
            "DELETE", "legacy",
            {
                $0.isLegacy()
                $0.httpMethod = "DELETE"
            }
        ),
        (
            "GET of an older revision", "legacy",
            {
                $0.httpMethod = "GET"
                $0.versionHeader = "2025-11-25"
            }
        ),
        ("GET of 2026-07-28", #"405 -32600 "c-1""#, { $0.httpMethod = "GET" }),
        ("DELETE of 2026-07-28", #"405 -32600 "c-1""#, { $0.httpMethod = "DELETE" }),
        (
            "HEAD", #"405 -32600 "c-1""#,
            {
                $0.isLegacy()
                $0.httpMethod = "HEAD"
            }
        ),
        (
            "PUT", #"405 -32600 "c-1""#,
            {
                $0.isLegacy()
                $0.httpMethod = "PUT"
            }
        ),
        (
            "OPTIONS", #"405 -32600 "c-1""#,
            {
                $0.isLegacy()
                $0.httpMethod = "OPTIONS"
            }
        ),
        ("request", "legacy", { $0.isLegacy() }),
        (
            "request of an older revision", "legacy",
            {
                $0.isLegacy()
                $0.versionHeader = "2025-06-18"
            }
        ),
        ("request with a version in the header alone", "400 -32602 \"c-1\"", { $0.version = nil }),
        ("request with a version in the body alone", "400 -32020 \"c-1\"", { $0.versionHeader = nil }),
        (
            "initialize", "legacy",
            {
                $0.isLegacy()
                $0.method = "initialize"
                $0.params = #""protocolVersion":"2025-11-25","#
            }
        ),
        (
            "initialize with the header of 2026-07-28", "legacy",
            {
                $0.method = "initialize"
                $0.version = nil
            }
        ),
        (
            "initialize with the version of 2026-07-28", "404 -32601 \"c-1\"",
            {
                $0.method = "initialize"
                $0.methodHeader = "initialize"
            }
        ),
        (
            "batch", "legacy",
            {
                $0.isLegacy()
                $0.body = #"[{"jsonrpc":"2.0","id":1,"method":"ping"}]"#
            }
        ),
        ("batch of 2026-07-28", "legacy", { $0.body = "[]" }),
        (
            "response", "legacy",
            {
                $0.isLegacy()
                $0.body = #"{"jsonrpc":"2.0","id":1,"result":{}}"#
            }
        ),
        ("response of 2026-07-28", "400 -32600 1", { $0.body = #"{"jsonrpc":"2.0","id":1,"result":{}}"# }),
        (
            "notification", "legacy",
            {
                $0.isLegacy()
                $0.body = #"{"jsonrpc":"2.0","method":"notifications/initialized"}"#
            }
        ),
        (
            "notification of 2026-07-28", "notification",
            {
                $0.body = #"{"jsonrpc":"2.0","method":"notifications/initialized"}"#
            }
        ),
        (
            "not JSON", "400 -32700 -",
            {
                $0.isLegacy()
                $0.body = "{"
            }
        ),
        (
            "no message", "400 -32600 -",
            {
                $0.isLegacy()
                $0.body = "1"
            }
        ),
        (
            "a name twice", "400 -32600 1",
            {
                $0.isLegacy()
                $0.body = #"{"jsonrpc":"2.0","id":1,"method":"a","method":"b"}"#
            }
        ),
        (
            "not the type", "415 -32600 \"c-1\"",
            {
                $0.isLegacy()
                $0.contentType = "text/plain"
            }
        ),
        (
            "origin", "403 -32600 -",
            {
                $0.isLegacy()
                $0.origin = "https://evil.example"
            }
        ),
        (
            "host", "421 -32600 -",
            {
                $0.isLegacy()
                $0.host = "evil.example"
            }
        ),
        (
            "path", #"404 -32600 "c-1""#,
            {
                $0.isLegacy()
                $0.path = "/"
            }
        ),
        ("2026-07-28", "request", { _ in }),
    ]

    @Test(arguments: rows.indices) func row(index: Int) throws {
        let row = Self.rows[index]
        let admission = try Knock().changed(row.change).admitted(by: .test(forwardsLegacyClients: true))
        #expect(outcome(admission) == row.outcome, "\(row.name)")
    }
}

extension Knock {
    /// Takes out what 2026-07-28 added.
    fileprivate mutating func isLegacy() {
        versionHeader = nil
        methodHeader = nil
        nameHeader = nil
        version = nil
        capabilities = nil
    }
}
