import JSONText
import MCP
import Reactor
import Translation

/// What a session knows of its server's tools: which arguments clients repeat in headers.
///
/// It asks once, before the first call that needs it, however many wait; and again after the server said that its tools
/// have changed.
final class ToolDirectory {
    /// Pages of `tools/list` that are read. A server with more tools has no header parameters among the later ones.
    private static let maxPages = 100

    private unowned let session: LegacySession
    private var known: HeaderParameters?
    private var reading: Gate?
    private var version = 0

    init(of session: LegacySession) { self.session = session }

    /// The server's tools have changed.
    func invalidate() {
        known = nil
        version += 1
    }

    var ready: HeaderParameters? { known }

    func headerParameters(_ credentials: Credentials, until end: Instant) async throws(BackendError) -> HeaderParameters
    {
        while true {
            if let known { return known }
            if let reading {
                await reading.wait()
            } else {
                return try await read(credentials, until: end)
            }
        }
    }

    private func read(_ credentials: Credentials, until end: Instant) async throws(BackendError) -> HeaderParameters {
        let gate = Gate()
        reading = gate
        defer {
            reading = nil
            gate.open()
        }
        let asked = version
        var parameters = HeaderParameters()
        var cursor: [UInt8]?
        for _ in 1...ToolDirectory.maxPages {
            let call = session.listTools(cursor: cursor, credentials: credentials, until: end)
            let answer = try await page(call)
            // A server that cannot list has told clients of no annotation either.
            guard case .result(let result) = answer.outcome else { break }
            parameters.add(result, in: answer.document)
            guard let next = answer.document.value("nextCursor", of: result, .string) else { break }
            cursor = Array(answer.document.raw(next))
        }
        if asked == version { known = parameters }
        return parameters
    }

    private func page(_ call: LegacyCall) async throws(BackendError) -> LegacyAnswer {
        do throws(BackendError) {
            return try await call.answer()
        } catch {
            throw error.beforeDispatch(of: "tools/list")
        }
    }
}
