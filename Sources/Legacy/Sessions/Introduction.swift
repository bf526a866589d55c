import MCP
import Reactor
import Translation

/// What `initialize` offers: one revision after another, where the server refuses them (2025-11-25, basic/lifecycle, "Version
/// Negotiation").
///
/// A server that takes another revision says so in its result. Some refuse instead, most of them with the revisions that they
/// take. Each revision is offered once, so there are four requests at the most.
final class Introduction {
    /// As `ClientCapabilities` made them.
    let capabilities: [UInt8]
    private let ids: RequestIDs
    /// The revision that is offered.
    private(set) var revision: Revision
    /// The id of the request that offers it.
    private(set) var id: Int
    private var untried: [Revision]
    /// When all of it must be over, redirects and other revisions included.
    let end: Instant
    /// Says when it is to end before that.
    let abandonment: Abandonment

    /// - Parameter first: the revision to begin with.
    init(
        offering first: Revision, capabilities: [UInt8], ids: RequestIDs, until end: Instant,
        unless abandonment: Abandonment = Abandonment()
    ) {
        self.capabilities = capabilities
        self.end = end
        self.abandonment = abandonment
        self.ids = ids
        revision = first
        id = ids.nextID()
        untried = Revision.allCases.filter { !$0.isModern && $0 != first }
    }

    /// The body of the request.
    var request: [UInt8] {
        Handshake.initializeRequest(
            id: id, offering: revision, capabilities: capabilities, remoraVersion: Version.current)
    }

    /// Offers one revision after the other, until the server agrees to one or refuses for another reason.
    ///
    /// - Parameter offer: sends ``request`` and reads the answer.
    func agreeOnRevision(_ offer: () async throws(BackendError) -> Handshake) async throws(BackendError) -> Handshake {
        while true {
            do throws(BackendError) {
                return try await offer()
            } catch {
                guard goesOn(after: error) else { throw error }
            }
        }
    }

    /// A request was refused with this error. Returns whether another revision is to be offered now: one that the server
    /// names, or else the newest that is left, where it says that the version is the reason.
    func goesOn(after error: BackendError) -> Bool {
        guard error.eraHint != .modern, let next = nextRevision(after: error.words) else { return false }
        untried.removeAll { $0 == next }
        revision = next
        id = ids.nextID()
        return true
    }

    /// What an error says that is about the revision, in lower case.
    private static let wordsOfVersions = [
        "protocol version", "protocolversion", "protocol-version", "unsupported version",
    ]

    private func nextRevision(after words: [UInt8]) -> Revision? {
        if words.isEmpty { return nil }
        let text = String(decoding: words, as: UTF8.self).lowercased()
        if let named = untried.last(where: { text.contains($0.rawValue) }) { return named }
        // A server of 2026-07-28 speaks of a version too, when it misses the one in `_meta`.
        guard Introduction.wordsOfVersions.contains(where: { text.contains($0) }), !text.contains("_meta"),
            !text.contains("io.modelcontextprotocol/")
        else {
            return nil
        }
        return untried.last
    }
}
