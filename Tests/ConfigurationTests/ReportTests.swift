import Testing

@testable import Configuration

/// What is printed, to the letter, for files with something wrong in them.
@Suite struct ReportTests {
    struct Example: CustomTestStringConvertible, Sendable {
        let testDescription: String
        let text: String
        let printed: String

        init(_ name: String, _ text: String, _ printed: String) {
            testDescription = name
            self.text = text
            self.printed = printed
        }
    }

    @Test(arguments: structure + keys + values) func prints(_ example: Example) {
        #expect(printed(example.text) == example.printed)
    }

    /// What follows a mistake that has one likely meaning, and nothing else.
    @Test(arguments: [
        ("limits: {max_body: 4mb}", "; write 4MiB"), ("limits: {max_body: 10 KB}", "; write 10KiB"),
        ("limits: {max_body: 1.5GiB}", "; write 1536MiB"), ("limits: {max_body: 4XB}", "got \"4XB\""),
        ("limits: {max_body: 1e400MB}", "got \"1e400MB\""),
        ("limits: {request_timeout: 1h30m}", "; write 90m"), ("limits: {request_timeout: 10 m}", "; write 10m"),
        ("limits: {request_timeout: 2hours}", "; write 2h"), ("limits: {request_timeout: 1d}", "got \"1d\""),
        (
            "limits: {request_timeout: 99999999999999999999h}",
            "must be between 100ms and 24h, got \"99999999999999999999h\""
        ),
        ("log: {level: INFO}", "; write info"), ("log: {level: errors}", "; write error"),
        ("log: {level: x}", "got \"x\""), ("admin: {address: false}", "; write off"),
        ("cache: {scope: Public}", "; write public"), ("replicas: {cues: disabled}", "; write off"),
        ("listen: {address: $ADDRESS}", "; write ${ADDRESS} for the value of the environment variable ADDRESS"),
        ("listen: {public_url: 'https://u:p@h'}", "or auto, got \"https://…@h\""),
        ("{listen: {address: ':80'}, admin: {address: '127.0.0.1:80'}}", "have a listener of their own"),
    ])
    func advises(_ text: String, _ end: String) {
        let document = text.hasPrefix("{") ? text.dropLast() + ", backends: [{url: http://b}]}" : withBackend(text)[...]
        let lines = printed(String(document)).split(separator: "\n")
        #expect(lines.count == 3 && lines[0].hasSuffix(end), "\(lines)")
    }

    /// One mistake is one message, and a password is in none.
    @Test(arguments: [
        ("backend: {url: http://b}", "remora.yaml:1:1: unknown key \"backend\"; did you mean `backends`?"),
        ("backends: [{command: npx server}]", "got \"npx server\"; write [npx, server]"),
        ("backends: [{ulr: http://b}]", "unknown key \"ulr\" in backends[0]; did you mean `url`?"),
        (
            "log: {level: \"info}\nbackends: [{url: http://b}]",
            "remora.yaml:1:14: not valid YAML: the quote that opens here is not closed; close it"
        ),
        ("backends: [{url: 'http://u:secret@b/'}]", "can set another, got \"http://…@b/\""),
        ("backends: [{url: 'http://$HOST/'}]", "; write ${HOST} for the value of the environment variable HOST"),
    ])
    func saysItOnce(_ text: String, _ end: String) {
        let all = printed(text)
        let lines = all.split(separator: "\n")
        #expect(lines.count == 3 && lines[0].hasSuffix(end), "\(lines)")
        #expect(!all.contains("secret"))
    }

    static let structure = [
        Example(
            "empty file", "",
            """
            remora.yaml:1:1: backends is missing: add it, such as `backends: [{url: http://127.0.0.1:9000/mcp}]`
                1 |
                  | ^
            """),
        Example(
            "only a comment", "# nothing\n",
            """
            remora.yaml:1:1: backends is missing: add it, such as `backends: [{url: http://127.0.0.1:9000/mcp}]`
                1 | # nothing
                  | ^
            """),
        Example(
            "list as root", "- a\n",
            """
            remora.yaml:1:1: the file must be a mapping, with lines of `key: value`, got a list
                1 | - a
                  | ^
            """),
        Example(
            "scalar as root", "hello",
            """
            remora.yaml:1:1: the file must be a mapping, with lines of `key: value`, got "hello"
                1 | hello
                  | ^
            """),
        Example(
            "anchor, alias and tag", "backends: &a [{url: http://x}]\nlog: *a\ncache: !!map {}\n",
            """
            remora.yaml:1:11: anchors (&name) are not supported: write the value out at each place
                1 | backends: &a [{url: http://x}]
                  |           ^
            remora.yaml:2:6: aliases (*name) are not supported: write the value out at each place
                2 | log: *a
                  |      ^
            remora.yaml:3:8: tags (!name) are not supported: remove it, each key knows its type
                3 | cache: !!map {}
                  |        ^
            """),
        Example(
            "two documents", "backends: [{url: http://x}]\n---\nthreads: 2",
            """
            remora.yaml:2:1: there must be one document: remove this `---` and what follows
                2 | ---
                  | ^
            """),
        Example(
            "directive", "%YAML 1.2\n---\nthreads: 2",
            """
            remora.yaml:1:1: directives (%YAML, %TAG) are not supported: remove this line
                1 | %YAML 1.2
                  | ^
            """),
        Example(
            "tab as indentation", "listen:\n\taddress: :80",
            """
            remora.yaml:2:1: not valid YAML, found character that cannot start any token while scanning for the next \
            token: indent with spaces instead of tabs, and put a value that begins with @, ` or % in quotes
                2 | \taddress: :80
                  | ^
            """),
        Example(
            "star without quotes", "listen:\n  allowed_origins: [*]",
            """
            remora.yaml:2:22: not valid YAML, did not find expected alphabetic or numeric character while scanning an \
            alias: put a value that begins with * or & in quotes, such as "*"
                2 |   allowed_origins: [*]
                  |                      ^
            """),
        Example(
            "colon in a value", "listen: path: /mcp",
            """
            remora.yaml:1:13: not valid YAML, mapping values are not allowed in this context: check the indentation of \
            this line, and put a value that has `: ` in it in quotes
                1 | listen: path: /mcp
                  |             ^
            """),
        Example(
            "brackets without quotes", "listen:\n  address: [::1]:80",
            """
            remora.yaml:2:13: not valid YAML, did not find expected node content while parsing a flow node: check the \
            indentation, that quotes and brackets are closed, and that values with brackets in them are in quotes, \
            such as "[::1]:8808" or, within brackets, "${NAME}"
                2 |   address: [::1]:80
                  |             ^
            """),
        Example(
            "list as key", withBackend("? [a, b]\n: c\n"),
            """
            remora.yaml:2:3: a key must be plain text, not a list
                2 | ? [a, b]
                  |   ^
            """),
        Example(
            "nested too deeply", "a: [[[[[[[[[[[[[[[[[[",
            """
            remora.yaml:1:19: nested too deeply: no setting is more than 16 levels deep
                1 | a: [[[[[[[[[[[[[[[[[[
                  |                   ^
            """),
    ]

    static let keys = [
        Example(
            "slip in a key", withBackend("limits:\n  maxbody: 1MiB\n"),
            """
            remora.yaml:3:3: unknown key "maxbody" in limits; did you mean `max_body`?
                3 |   maxbody: 1MiB
                  |   ^
            """),
        Example(
            "slip in a section", withBackend("limit: {}\n"),
            """
            remora.yaml:2:1: unknown key "limit"; did you mean `limits`?
                2 | limit: {}
                  | ^
            """),
        Example(
            "key of a later version", withBackend("tracing: {address: 127.0.0.1:4317}\n"),
            """
            remora.yaml:2:1: unknown key "tracing"; the keys here are threads, listen, backends, clients, sessions, interaction, tasks, cache, \
            limits, admin, store, replicas, log
                2 | tracing: {address: 127.0.0.1:4317}
                  | ^
            """),
        Example(
            "duplicate key", withBackend("cache:\n  ttl: 1s\n  scope: private\n  ttl: 2s\n"),
            """
            remora.yaml:5:3: duplicate key "ttl", given before on line 3: keep one of them
                5 |   ttl: 2s
                  |   ^
            """),
        Example(
            "missing url", "backends: [{}]",
            """
            remora.yaml:1:12: backends[0].url is missing: add it, such as `url: http://127.0.0.1:9000/mcp`
                1 | backends: [{}]
                  |            ^
            """),
        Example(
            "url without a value", "backends:\n  - url:\n",
            """
            remora.yaml:2:9: backends[0].url is missing: add it, such as `url: http://127.0.0.1:9000/mcp`
                2 |   - url:
                  |         ^
            """),
        Example(
            "no backends", "backends: []\n",
            """
            remora.yaml:1:11: backends is missing: add it, such as `backends: [{url: http://127.0.0.1:9000/mcp}]`
                1 | backends: []
                  |           ^
            """),
        Example(
            "a backend twice", "backends:\n  - url: http://a\n  - url: http://a\n",
            """
            remora.yaml:3:10: backends[1].url must not be that of backends[0]: each copy of the server is named once
                3 |   - url: http://a
                  |          ^
            """),
        Example(
            "copies that differ", "backends:\n  - {url: http://a, era: legacy}\n  - url: http://b\n    era: modern\n",
            """
            remora.yaml:4:10: backends[1].era must be as in backends[0], since all are copies of one server: remove the line
                4 |     era: modern
                  |          ^
            """),
        Example(
            "backend as text", "backends: [http://a]\n",
            """
            remora.yaml:1:12: backends[0] must be a mapping, with lines of `key: value`, got "http://a"
                1 | backends: [http://a]
                  |            ^
            """),
        Example(
            "backends as a mapping", "backends: {url: http://a}\n",
            """
            remora.yaml:1:11: backends must be a list, with lines of `- value` or as [value], got a mapping
                1 | backends: {url: http://a}
                  |           ^
            """),
    ]

    static let values = [
        Example(
            "duration out of range", withBackend("sessions:\n  idle_timeout: 0\n"),
            """
            remora.yaml:3:17: sessions.idle_timeout must be between 1s and 24h, got "0"
                3 |   idle_timeout: 0
                  |                 ^
            """),
        Example(
            "duration without a unit", withBackend("limits:\n  connect_timeout: 5\n"),
            """
            remora.yaml:3:20: limits.connect_timeout must be a number with a unit such as 250ms, 10s, 5m or 1h, got "5"; write 5s
                3 |   connect_timeout: 5
                  |                    ^
            """),
        Example(
            "size with a unit of ten", withBackend("limits:\n  max_body: 8MB\n"),
            """
            remora.yaml:3:13: limits.max_body must be a size such as 65536, 512KiB, 8MiB or 1GiB, got "8MB"; write 8MiB
                3 |   max_body: 8MB
                  |             ^
            """),
        Example(
            "size out of range", withBackend("limits:\n  max_head: 2MiB\n"),
            """
            remora.yaml:3:13: limits.max_head must be between 1KiB and 1MiB, got "2MiB"
                3 |   max_head: 2MiB
                  |             ^
            """),
        Example(
            "number", withBackend("threads: many"),
            """
            remora.yaml:2:10: threads must be a whole number between 1 and 64, got "many"
                2 | threads: many
                  |          ^
            """),
        Example(
            "choice", withBackend("log: {level: warn}"),
            """
            remora.yaml:2:14: log.level must be one of error, warning, info, debug, got "warn"; write warning
                2 | log: {level: warn}
                  |              ^
            """),
        Example(
            "public URL", withBackend("listen: {public_url: mcp.example.com}"),
            """
            remora.yaml:2:22: listen.public_url must be a URL such as https://mcp.example.com/mcp, without query, \
            fragment and user, or auto, got "mcp.example.com"
                2 | listen: {public_url: mcp.example.com}
                  |                      ^
            """),
        Example(
            "era", "backends: [{url: http://b, era: new, probe_interval: 0}]",
            """
            remora.yaml:1:33: backends[0].era must be one of auto, legacy, modern, got "new"
                1 | backends: [{url: http://b, era: new, probe_interval: 0}]
                  |                                 ^
            remora.yaml:1:54: backends[0].probe_interval must be between 1s and 168h, got "0"
                1 | backends: [{url: http://b, era: new, probe_interval: 0}]
                  |                                                      ^
            """),
        Example(
            "choice of two", withBackend("listen: {legacy_clients: drop}"),
            """
            remora.yaml:2:26: listen.legacy_clients must be one of pass, refuse, got "drop"
                2 | listen: {legacy_clients: drop}
                  |                          ^
            """),
        Example(
            "no value", withBackend("threads:\n"),
            """
            remora.yaml:2:9: threads has no value: give one, or remove the line for the default
                2 | threads:
                  |         ^
            """),
        Example(
            "list for a value", withBackend("threads: [1]\n"),
            """
            remora.yaml:2:10: threads must be a single value, got a list
                2 | threads: [1]
                  |          ^
            """),
        Example(
            "value for a list", withBackend("sessions: {isolate_by: authorization}\n"),
            """
            remora.yaml:2:24: sessions.isolate_by must be a list, with lines of `- value` or as [value], got "authorization"; write [authorization]
                2 | sessions: {isolate_by: authorization}
                  |                        ^
            """),
        Example(
            "value for a section", withBackend("limits: none\n"),
            """
            remora.yaml:2:9: limits must be a mapping, with lines of `key: value`, got "none"
                2 | limits: none
                  |         ^
            """),
        Example(
            "isolation without authorization", withBackend("sessions: {isolate_by: [header:X-Tenant]}\n"),
            """
            remora.yaml:2:24: sessions.isolate_by must have `authorization` in it, since no session may serve two principals
                2 | sessions: {isolate_by: [header:X-Tenant]}
                  |                        ^
            """),
        Example(
            "no isolation before a server that gets credentials", withBackend("sessions: {isolate_by: []}\n"),
            """
            remora.yaml:2:24: sessions.isolate_by must have `authorization` in it: a server at a URL gets the caller's credentials with \
            each call; only a command may have []
                2 | sessions: {isolate_by: []}
                  |                        ^
            """),
        Example(
            "isolation whose values were lost", "backends: [{command: [a]}]\nsessions:\n  isolate_by:\n",
            """
            remora.yaml:3:14: sessions.isolate_by has no value: write [] if all callers are to share the processes of the command
                3 |   isolate_by:
                  |              ^
            """),
        Example(
            "one call at once on several threads", "threads: 2\nbackends: [{url: http://b, calls_at_once: 1}]\n",
            """
            remora.yaml:2:43: backends[0].calls_at_once must be any with more than one thread, each of which counts for itself: set \
            threads: 1
                2 | backends: [{url: http://b, calls_at_once: 1}]
                  |                                           ^
            """),
        Example(
            "no calls at once", "backends: [{url: http://b, calls_at_once: 0}]\n",
            """
            remora.yaml:1:43: backends[0].calls_at_once must be a whole number between 1 and 10000, or any, got "0"
                1 | backends: [{url: http://b, calls_at_once: 0}]
                  |                                           ^
            """),
        Example(
            "calls at once that are not counted", "backends: [{url: http://b, era: modern, calls_at_once: 1}]\n",
            """
            remora.yaml:1:56: backends[0].calls_at_once must be any with era: modern: what goes past the translation is not counted
                1 | backends: [{url: http://b, era: modern, calls_at_once: 1}]
                  |                                                        ^
            """),
        Example(
            "isolation by the same header twice",
            withBackend("sessions: {isolate_by: [authorization, header:a, header:A]}\n"),
            """
            remora.yaml:2:24: sessions.isolate_by must name each header once (names are compared without regard to case)
                2 | sessions: {isolate_by: [authorization, header:a, header:A]}
                  |                        ^
            """),
        Example(
            "isolation by something else", withBackend("sessions: {isolate_by: [authorization, 'header:a b']}\n"),
            """
            remora.yaml:2:40: sessions.isolate_by[1] must be authorization, client_certificate, or header: and the name of a header, such as \
            header:x-tenant, got "header:a b"
                2 | sessions: {isolate_by: [authorization, 'header:a b']}
                  |                                        ^
            """),
    ]

    @Test func reportsEverythingAtOnceInTheOrderOfTheFile() {
        let text = """
            sessions:
              idle_timeout: 0
              max: 0
            listen:
              adress: :80
              path: mcp
            backends:
              - url: ftp://example.com
            cache: {scope: ${SCOPE}, ttl: !x 1s}
            """
        #expect(
            printed(text.replacing("${SCOPE}", with: "'${SCOPE}'"))
                == """
                remora.yaml:2:17: sessions.idle_timeout must be between 1s and 24h, got "0"
                    2 |   idle_timeout: 0
                      |                 ^
                remora.yaml:3:8: sessions.max must be a whole number between 1 and 100000, got "0"
                    3 |   max: 0
                      |        ^
                remora.yaml:5:3: unknown key "adress" in listen; did you mean `address`?
                    5 |   adress: :80
                      |   ^
                remora.yaml:6:9: listen.path must begin with /, such as /mcp, got "mcp"
                    6 |   path: mcp
                      |         ^
                remora.yaml:8:10: backends[0].url must begin with http://, https:// or unix:, got "ftp://example.com"
                    8 |   - url: ftp://example.com
                      |          ^
                remora.yaml:9:16: the environment variable SCOPE is not set: start Remora with it, as by SCOPE=VALUE \
                remora -c FILE, or write the value here in place of ${SCOPE}
                    9 | cache: {scope: '${SCOPE}', ttl: !x 1s}
                      |                ^
                remora.yaml:9:33: tags (!name) are not supported: remove it, each key knows its type
                    9 | cache: {scope: '${SCOPE}', ttl: !x 1s}
                      |                                 ^
                """)
    }

    @Test func issuesCarryTheirPlace() throws {
        guard case .failure(let errors) = parse(withBackend("log:\n  level: loud\n")) else {
            Issue.record("must fail")
            return
        }
        let issue = try #require(errors.issues.first)
        #expect(errors.issues.count == 1)
        #expect(issue.line == 3 && issue.column == 10)
        #expect(issue.message == "log.level must be one of error, warning, info, debug, got \"loud\"")
    }
}

/// Where the caret stands under lines that are not plain ASCII.
@Suite struct ExcerptTests {
    @Test func countsCharactersAsAnEditorDoes() {
        // Two wide letters, a letter of two scalars, a family of seven scalars.
        #expect(
            printed(withBackend("log: {level: info, \"日本e\u{301}👨‍👩‍👧‍👦\": 1, formt: json}"))
                == """
                remora.yaml:2:20: unknown key "日本e\u{301}👨‍👩‍👧‍👦" in log; the keys here are level, format
                    2 | log: {level: info, "日本e\u{301}👨‍👩‍👧‍👦": 1, formt: json}
                      |                    ^
                remora.yaml:2:31: unknown key "formt" in log; did you mean `format`?
                    2 | log: {level: info, "日本e\u{301}👨‍👩‍👧‍👦": 1, formt: json}
                      |                                  ^
                """)
    }

    @Test func keepsTabsSoThatTheCaretStaysBelow() {
        #expect(
            printed(withBackend("log:\t{level:\tloud}"))
                == """
                remora.yaml:2:14: log.level must be one of error, warning, info, debug, got "loud"
                    2 | log:\t{level:\tloud}
                      |     \t       \t^
                """)
    }

    @Test(arguments: ["\r\n", "\r", "\n"]) func knowsEveryLineEnd(_ end: String) {
        let text = ["backends:", "  - url: http://b", "log:", "  # é", "  level: loud", ""].joined(separator: end)
        #expect(
            printed(text)
                == """
                remora.yaml:5:10: log.level must be one of error, warning, info, debug, got "loud"
                    5 |   level: loud
                      |          ^
                """)
    }

    @Test func skipsAByteOrderMark() {
        #expect(
            printed("\u{FEFF}log: {x: 1, level: info}\nbackends: [{url: http://b}]")
                == """
                remora.yaml:1:7: unknown key "x" in log; the keys here are level, format
                    1 | log: {x: 1, level: info}
                      |       ^
                """)
    }

    @Test func cutsLongLines() {
        let long = String(repeating: "a", count: 100)
        #expect(
            printed(withBackend("listen: {allowed_hosts: [\(long).b, c/, \(long).d]}"))
                == """
                remora.yaml:2:26: listen.allowed_hosts[0] must be a host or HOST:PORT, such as mcp.example.com, \
                localhost:8808 or "[::1]:8808" (in quotes), got "\(long.prefix(60))…"
                    2 | listen: {allowed_hosts: [\(long.prefix(60))…
                      |                          ^
                remora.yaml:2:130: listen.allowed_hosts[1] must be a host or HOST:PORT, such as mcp.example.com, \
                localhost:8808 or "[::1]:8808" (in quotes), got "c/"
                    2 | …\(long.prefix(56)).b, c/, \(long.prefix(56))…
                      | \(String(repeating: " ", count: 61))^
                remora.yaml:2:134: listen.allowed_hosts[2] must be a host or HOST:PORT, such as mcp.example.com, \
                localhost:8808 or "[::1]:8808" (in quotes), got "\(long.prefix(60))…"
                    2 | …\(long.prefix(52)).b, c/, \(long.prefix(60))…
                      | \(String(repeating: " ", count: 61))^
                """)
    }

    @Test func sendsNoControlCharactersToTheTerminal() {
        #expect(
            printed("log: {level: \u{1B}[31m}")
                == """
                remora.yaml:1:14: not valid YAML, control characters are not allowed: remove the control character here
                    1 | log: {level: \u{FFFD}[31m}
                      |              ^
                """)
        #expect(
            printed(withBackend(#"log: {level: "\e[31m\n\0"}"#))
                == #"""
                remora.yaml:2:14: log.level must be one of error, warning, info, debug, got "\#u{FFFD}[31m\n\#u{FFFD}"
                    2 | log: {level: "\e[31m\n\0"}
                      |              ^
                """#)
    }
}
