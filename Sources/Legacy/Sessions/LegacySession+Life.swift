import MCP
import Reactor
import Translation

/// Whether the server still knows the session: it is asked when an answer leaves that in doubt.
extension LegacySession {
    /// Whether the session is lost. Waits for the server's answer to a `pingRequest` and to a list, 5 s at most for each.
    func isLost(_ doubt: SessionDoubt, _ credentials: Credentials) async -> Bool {
        switch await askForLife(by: doubt.question, credentials) {
        case .alive: return false
        case .lost: return true
        case .silent:
            guard doubt.silenceIsLoss else { return false }
            // What is silent to a `pingRequest` may answer a list.
            if doubt.question == .list { return true }
            return await askForLife(by: .list, credentials) != .alive
        }
    }

    /// However many want to know at once, the server is asked once.
    func askForLife(by question: SessionProbe.Question, _ credentials: Credentials) async -> SessionLife {
        if isOver { return .lost }
        // A server that keeps no session has none to lose.
        guard isKept else { return .alive }
        if let probe = probes[question] {
            while true {
                if let life = probe.life { return life }
                await probe.settled.wait()
            }
        }
        let probe = SessionProbe()
        probes[question] = probe
        let life = await askQuestion(question, credentials)
        probe.life = life
        probes[question] = nil
        probe.settled.signal()
        return life
    }

    /// Asks for a sign of life.
    func askQuestion(_ question: SessionProbe.Question, _ credentials: Credentials) async -> SessionLife {
        let call = beginCall(
            { questionText(of: question, id: $0) }, credentials: credentials, until: .now + LegacySession.askTimeout)
        do throws(BackendError) {
            switch try await call.waitForReply() {
            // Whatever it says to it, it says it on this session.
            case .answer: return .alive
            // Servers without `pingRequest` have words of their own for it. A list is what all of them have.
            case .doubted where question == .ping: return await askQuestion(.list, credentials)
            case .doubted: return .lost
            }
        } catch {
            switch error.kind {
            case .sessionLost: return .lost
            // A channel on which nothing is taken is as good as over.
            case .unavailable where sessionID == nil: return .silent
            // A server that cannot be reached, or not by this caller, or not now, may have the session all the same: the
            // next call will tell.
            case .unavailable, .unauthorized, .rateLimited: return .alive
            case .noAnswer, .outcomeUnknown, .rejected, .handleGone, .busy, .silent, .overdue, .cancelled:
                return .silent
            }
        }
    }

    private func questionText(of question: SessionProbe.Question, id: Int) -> [UInt8] {
        guard question == .list, let list = Method.lists.first(where: isOffered) else {
            return ServerRequest.pingRequest(id: id)
        }
        return ServerRequest.listRequest(list, id: id, cursor: nil)
    }

    private func isOffered(_ list: Method) -> Bool { list.requiredCapability.map { handshake.offers($0) } == true }
}

extension Method {
    /// Those of which a server has at least one, nearly always.
    fileprivate static let lists: [Method] = [.listTools, .listPrompts, .listResources]
}
