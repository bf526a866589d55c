import HTTPWire
import JSONText
import MCP
import Reactor
import Translation

/// What a server's answer says of its era.
package enum EraEvidence: Sendable, Equatable {
    case legacy, modern
    /// The server could not be reached, was ill, or wanted other credentials: that speaks for neither.
    case none
    /// It took the question and said nothing, which speaks for neither, and will be so the next time.
    case silence
}

/// The question that tells the eras apart: `server/discover` as a modern request (2026-07-28, basic/versioning, "Backward
/// Compatibility with Initialization-Based Versions").
///
/// Some servers do not survive a method that they do not know. So it is sent to those alone that have taken 2025-11-25 in
/// `initialize`, or have refused that as a server of 2026-07-28 may.
enum EraQuestion {
    /// The whole answer must be there after this.
    static let timeout: Duration = .seconds(5)

    /// What an answer says.
    ///
    /// A status that a server, or whatever stands before it, gives for reasons of its own is no evidence.
    static func eraEvidence(_ status: Int, isModern: Bool) -> EraEvidence {
        switch status {
        case 200..<300, 400, 402, 404..<408, 409..<429, 430..<500: isModern ? .modern : .legacy
        default: .none
        }
    }

    static func requestBody(id: Int) -> [UInt8] {
        var text = Array(#"{"jsonrpc":"2.0","id":\#(id),"method":"server/discover","params":{"_meta":{"#.utf8)
        text += Array(#""io.modelcontextprotocol/protocolVersion":"\#(Revision.modern.rawValue)","#.utf8)
        text += Array(#""io.modelcontextprotocol/clientInfo":{"name":"remora","version":"#.utf8)
        text.appendJSON(Version.current)
        text += Array(#"},"io.modelcontextprotocol/clientCapabilities":{}}}}"#.utf8)
        return text
    }
}

extension StreamableHTTP {
    /// Asks, in the session where there is one: servers that speak both eras do not look at it, and of the others some would
    /// make a session for a question without.
    ///
    /// - Returns: what the answer says, and how the server refused the credentials, if it did.
    func askEra(_ credentials: Credentials) async -> (EraEvidence, refusal: BackendError?) {
        do throws(BackendError) {
            let (exchange, head, _) = try await sendFollowing(.post) { eraExchange(credentials, at: $0) }
            defer { exchange.abandonResponse() }
            var isModern = false
            if (200..<300).contains(head.status) {
                while !isModern, let message = try await exchange.nextMessage() {
                    isModern = ModernEvidence.isGiven(by: message)
                }
            } else {
                isModern = ModernEvidence.isGiven(by: await exchange.waitForBody())
            }
            return (EraQuestion.eraEvidence(head.status, isModern: isModern), .challenge(head))
        } catch {
            return (error.kind == .silent || error.kind == .overdue ? .silence : .none, nil)
        }
    }
}

extension Backend {
    /// Asks without a session.
    package func askEra(_ credentials: Credentials) async -> (EraEvidence, refusal: BackendError?) {
        await StreamableHTTP(to: self, credentials: credentials).askEra(credentials)
    }
}

extension LegacySession {
    /// Asks the server whether it speaks 2026-07-28 itself.
    package func askEra(_ credentials: Credentials) async -> EraEvidence {
        guard let transport = transport as? StreamableHTTP else { return .legacy }
        return await transport.askEra(credentials).0
    }

    /// Whether its server may speak 2026-07-28 too, and survives being asked: it took the newest revision before that, over
    /// Streamable HTTP.
    package var mayBeAskedForEra: Bool { handshake.revision == .newestLegacy && transport is StreamableHTTP }
}
