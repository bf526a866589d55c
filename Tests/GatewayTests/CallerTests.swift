import Crypto
import HTTPWire
import Legacy
import Testing

@testable import Gateway

/// Callers are told apart: a session must never serve two.
@Suite struct CallerTests {
    private let rules = CallerRules(
        CallerFields(isolateBy: ["authorization", "x-api-key", "x-tenant"]), key: HashKey())

    private func caller(_ fields: String) throws -> Caller {
        rules.identifyCaller(of: try parseHead("POST / HTTP/1.1\r\nHost: h\r\n\(fields)\r\n"), subject: nil)
    }

    /// No two of these are the same caller.
    private static let different = [
        "", "Authorization: Bearer a\r\n", "Authorization: Bearer b\r\n", "Authorization: bearer a\r\n",
        "Authorization: Bearer a \u{9}x\r\n", "Authorization:\r\n", "X-Api-Key: Bearer a\r\n", "X-Api-Key:\r\n",
        "X-Tenant: a\r\n", "X-Api-Key: a\r\nX-Tenant: b\r\n", "X-Api-Key: b\r\nX-Tenant: a\r\n", "X-Api-Key: ab\r\n",
        "X-Api-Key: a\r\nX-Api-Key: b\r\n", "X-Api-Key: b\r\nX-Api-Key: a\r\n", "X-Api-Key: a, b\r\n",
        "X-Api-Key: ab\r\nX-Api-Key:\r\n", "X-Api-Key:\r\nX-Api-Key: ab\r\n", "X-Api-Key: a\r\nX-Tenant:\r\n",
        // Values that imitate how several are put together.
        "X-Api-Key: a1:1:b\r\n", "X-Api-Key: a1:b\r\n", "X-Api-Key: a2:b\r\n", "X-Api-Key: a2:1:b\r\n",
        "X-Api-Key: 1:1:a\r\n", "X-Api-Key: 1\r\nX-Tenant: 1\r\n",
        "X-Api-Key: a\r\nX-Api-Key: a\r\n", "X-Api-Key: a\r\n",
    ]

    @Test func differentCredentialsAreDifferentCallers() throws {
        let principals = try Self.different.map { try caller($0).principal }
        for (index, principal) in principals.enumerated() {
            for other in principals.indices where other != index && principals[other] == principal {
                Issue.record("the same caller: \(Self.different[index]) and \(Self.different[other])")
            }
        }
    }

    @Test(
        arguments: [
            ("Authorization: Bearer a\r\n", "AUTHORIZATION: Bearer a\r\n"),
            ("Authorization: Bearer a\r\n", "authorization:Bearer a  \r\n"),
            ("Authorization: a\r\n", "Authorization: a\r\nX-Other: b\r\nCookie: c\r\n"),
            ("Authorization: a\r\nX-Api-Key: b\r\n", "X-Api-Key: b\r\nAuthorization: a\r\n"),
            ("", "Cookie: a\r\nX-Authorization: b\r\nAuthorization2: c\r\n"),
        ])
    func theSameCredentialsAreTheSameCaller(one: String, other: String) throws {
        #expect(try caller(one).principal == caller(other).principal)
    }

    @Test func whoSendsNoneIsNobody() throws {
        #expect(try caller("").principal == .none)
        #expect(try caller("Authorization:\r\n").principal != .none)
        #expect(try caller("").credentials.lines.isEmpty)
    }

    @Test func theCredentialsGoOnAsTheyCame() throws {
        let lines = try caller("x-api-key: k\r\nOther: o\r\nAUTHORIZATION: Bearer  a\r\nX-API-Key: l\r\n").credentials
            .lines
        #expect(
            lines.map { "\($0.name.string): \($0.value.string)" }
                == ["AUTHORIZATION: Bearer  a", "x-api-key: k", "X-API-Key: l"])
    }

    private func forwarding(_ fields: CallerFields) -> (String) throws -> Caller {
        let rules = CallerRules(fields, key: HashKey())
        return { rules.identifyCaller(of: try parseHead("POST / HTTP/1.1\r\nHost: h\r\n\($0)\r\n"), subject: nil) }
    }

    @Test func forwardedFieldsTellCallersApart() throws {
        let caller = forwarding(CallerFields(isolateBy: ["authorization"], forwarded: ["x-api-key", "x-tenant"]))
        let all = try CallerTests.different.map { try caller($0).principal }
        #expect(Set(all).count == all.count)
        #expect(
            try caller("X-Api-Key: k\r\nX-Other: o\r\nAuthorization: a\r\n").credentials.lines.map(\.value.string)
                == ["a", "k"])
    }

    /// Whatever stands beside it in the configuration.
    @Test func aForwardedFieldIsTheSameInAnotherOrder() throws {
        let one = forwarding(CallerFields(isolateBy: ["authorization"], forwarded: ["x-a", "x-b"]))
        let other = forwarding(CallerFields(isolateBy: ["authorization"], forwarded: ["x-b"]))
        #expect(try one("X-B: v\r\n").identity == other("X-B: v\r\n").identity)
        #expect(try one("X-A: v\r\n").identity != one("X-B: v\r\n").identity)
    }

    /// It tells callers apart all the same.
    @Test func whatTheOperatorSetsIsNotTheClients() throws {
        let caller = forwarding(CallerFields(isolateBy: ["authorization"], replaced: ["authorization"]))
        #expect(try caller("Authorization: a\r\n").credentials.lines.isEmpty)
        #expect(try caller("Authorization: a\r\n").principal != caller("Authorization: b\r\n").principal)
    }

    @Test(
        arguments: [
            ("X-Api-Key: k\r\nUser-Agent: u\r\nCookie: c\r\nX-API-KEY: l\r\n", "x-api-key, cookie"),
            ("Authorization: a\r\nX-Known-Key: k\r\nAccept: x\r\n", ""), ("", ""),
            (
                "A-Key: 1\r\nB-Token: 1\r\nC-Secret: 1\r\nX-Auth-D: 1\r\nE-Key: 1\r\n",
                "a-key, b-token, c-secret, x-auth-d"
            ),
        ])
    func whatLooksLikeACredentialAndIsDroppedIsNamed(fields: String, names: String) throws {
        let rules = CallerRules(
            CallerFields(isolateBy: ["authorization"], forwarded: ["x-known-key"]), key: HashKey())
        let head = try parseHead("POST / HTTP/1.1\r\nHost: h\r\n\(fields)\r\n")
        #expect(rules.droppedFields(from: head).joined(separator: ", ") == names)
    }

    @Test func anotherProcessHasOtherHashes() throws {
        let other = CallerRules(CallerFields(isolateBy: ["authorization"]), key: HashKey())
        let head = try parseHead("POST / HTTP/1.1\r\nHost: h\r\nAuthorization: a\r\n\r\n")
        #expect(
            other.identifyCaller(of: head, subject: nil).principal
                != rules.identifyCaller(of: head, subject: nil).principal)
    }

    /// What is not listed does not isolate, and does not go to the backend.
    @Test func onlyListedFieldsCount() throws {
        let none = CallerRules(CallerFields(isolateBy: []), key: HashKey())
        let head = try parseHead("POST / HTTP/1.1\r\nHost: h\r\nAuthorization: a\r\n\r\n")
        #expect(none.identifyCaller(of: head, subject: nil).principal == .none)
        #expect(none.identifyCaller(of: head, subject: nil).credentials.lines.isEmpty)
    }
}
