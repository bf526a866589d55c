import JSONText
import MCP
import Reactor
import Testing
import Translation

@testable import Legacy

/// What is made of the messages of a server that has not answered `initialize` yet.
@Suite struct HandshakeReaderTests {
    private let reader = HandshakeReader<Envelope>()
    private let introduction = Introduction(
        offering: .newestLegacy, capabilities: Array("{}".utf8), ids: RequestIDs(from: 7), until: .now + .seconds(60))

    /// What the server agrees to in a text, and the answers to its pings.
    private func read(_ text: String) async throws(BackendError) -> (handshake: Handshake?, pongs: [String]) {
        var pongs: [String] = []
        let messages = ServerMessages(Array(text.utf8), revision: nil, maxDepth: 64)
        let handshake = try await reader.findHandshake(among: messages, answering: introduction) {
            pongs.append(String(decoding: $0, as: UTF8.self))
        }
        return (handshake, pongs)
    }

    private static func answer(_ id: String, _ outcome: String) -> String {
        #"{"jsonrpc":"2.0","id":\#(id),\#(outcome)}"#
    }

    private static let result = #""result":{"protocolVersion":"2025-06-18"}"#

    @Test func theAnswerIsFound() async throws {
        #expect(try await read(Self.answer("7", Self.result)).handshake?.revision == .v2025_06_18)
    }

    @Test(
        arguments: [
            HandshakeReaderTests.answer("8", HandshakeReaderTests.result),
            HandshakeReaderTests.answer("null", HandshakeReaderTests.result),
            #"{"jsonrpc":"2.0","method":"notifications/message"}"#,
            "a banner", "{}", "[]",
        ])
    func anythingElseIsNot(text: String) async throws {
        let (handshake, pongs) = try await read(text)
        #expect(handshake == nil && pongs.isEmpty && reader.early.isEmpty)
    }

    @Test func aRefusalIsAnError() async {
        for id in ["7", "null"] {
            do throws(BackendError) {
                _ = try await read(Self.answer(id, #""error":{"code":-32602,"message":"we speak 2024-11-05"}"#))
                Issue.record("no error")
            } catch {
                #expect(error.isRefusal && introduction.goesOn(after: error) == (id == "7"))
            }
        }
    }

    @Test func anUnclearAnswerIsAnError() async {
        do throws(BackendError) {
            _ = try await read(Self.answer("7", Self.result + #","error":{"code":1,"message":"no"}"#))
            Issue.record("no error")
        } catch {
            #expect(error.kind == .unavailable && !error.isRefusal)
        }
    }

    @Test func pingsAreAnsweredAndQuestionsKept() async throws {
        let first = try await read(#"{"jsonrpc":"2.0","id":"a","method":"ping"}"#)
        #expect(first.pongs == [#"{"jsonrpc":"2.0","id":"a","result":{}}"#])
        for id in 0..<40 { _ = try await read(#"{"jsonrpc":"2.0","id":\#(id),"method":"roots/list"}"#) }
        #expect(reader.early.count == LegacySession.maxEarlyQuestions)
        #expect(reader.early.first?.isRequest(withID: Array("0".utf8)) == true)
    }

    @Test func whatWasPassedOverLastIsRemembered() async throws {
        _ = try await read("a banner")
        _ = try await read(#"{"jsonrpc":"2.0","method":"notifications/message"}"#)
        if case .noJSON = reader.flaw {} else { Issue.record("forgotten") }
    }

    @Test func aRevisionThatIsRefusedIsFollowedByTheNext() async throws {
        var offered: [Revision] = []
        let handshake = try await introduction.agreeOnRevision { () async throws(BackendError) in
            offered.append(introduction.revision)
            let outcome = introduction.revision == .v2024_11_05 ? #""result":{}"# : #""error":{"message":"2024-11-05"}"#
            let answer = try await read(Self.answer("\(introduction.id)", outcome)).handshake
            guard let answer else { throw BackendError(.unavailable, "no answer") }
            return answer
        }
        #expect(offered == [.newestLegacy, .v2024_11_05] && handshake.revision == .v2024_11_05)
    }
}
