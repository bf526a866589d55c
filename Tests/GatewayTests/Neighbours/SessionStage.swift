import Crypto
import HTTPTransport
import HTTPWire
import JSONText
import Legacy
import MCP
import Reactor
import Telemetry
import TestSupport
import Translation

@testable import Gateway

/// The sessions of a loop with a scripted MCP server, and the lists and subscriptions that use them.
final class SessionStage {
    let server: ScriptedMCPServer
    let sessions: SessionPool
    let lists: Lists
    let subscriptions: Subscriptions
    let front: Front
    /// What has happened to sessions.
    private(set) var events: [String] = []
    let changed = Wakeup()
    let loop: Loop
    private let settings: GatewaySettings
    private let callers: CallerRules

    init(
        on loop: Loop, _ server: ScriptedMCPServer, requestTimeout: Duration = .seconds(20), ttlMs: Int = 30_000
    ) throws {
        self.loop = loop
        self.server = server
        let settings = GatewaySettings.test(era: .legacy, requestTimeout: requestTimeout, ttlMs: ttlMs)
        self.settings = settings
        let sessions = SessionPool.test(Backends([Backend.test(server.server, on: loop)]))
        self.sessions = sessions
        callers = CallerRules(settings.callerFields, key: HashKey())
        let lists = Lists(
            sessions: sessions, settings: settings, seal: PeerServiceStage.seal, log: .silent)
        let subscriptions = Subscriptions(sessions: sessions, settings: settings)
        (self.lists, self.subscriptions) = (lists, subscriptions)
        front = try Front(on: loop, in: RequestBook(tally: RequestTally(), log: .silent))
        sessions.observer = self
    }

    func caller(_ token: String = "A") throws -> Caller {
        callers.identifyCaller(
            of: try parseHead("POST / HTTP/1.1\r\nHost: h\r\nAuthorization: \(token)\r\n\r\n"), subject: nil)
    }

    /// A request of a client that was let in.
    func request(_ method: String, params: String = "", id: String = "1") throws -> ModernRequest {
        let knock = Knock().changed { knock in
            (knock.method, knock.methodHeader, knock.nameHeader) = (method, method, nil)
            (knock.params, knock.id) = (params, id)
        }
        guard case .request(let request) = try knock.admitted() else { throw NoHead() }
        return request
    }

    func key(_ request: ModernRequest, of caller: Caller) -> SessionKey {
        settings.clients.sessionKey(for: request, of: caller.principal, canBeAsked: settings.isInteractive)
    }

    /// Waits until something has happened to a session.
    func until(_ event: String, count: Int = 1) async throws {
        try await eventually("\(event) after \(events)", on: loop, changed) {
            events.count { $0 == event } >= count
        }
    }
}

/// What came of a request, in words.
func words(_ outcome: RequestOutcome) -> String {
    switch outcome {
    case .answered(let answer):
        var text: [UInt8] = []
        answer.text.append(to: &text)
        return String(decoding: text, as: UTF8.self)
    case .refused(let refusal): return "refused \(refusal.status) \(refusal.code)"
    case .failed(let error): return "failed, \(error.kind)"
    }
}

extension SessionStage: SessionPoolObserver {
    func sessionChanged(_ event: SessionEvent) {
        lists.applySessionEvent(event)
        subscriptions.applySessionEvent(event)
        switch event {
        case .opened: events.append("opened")
        case .changed: events.append("changed")
        case .unheard: events.append("unheard")
        case .ended: events.append("ended")
        }
        changed.signal()
    }
}
