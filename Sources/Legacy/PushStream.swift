import HTTPTransport
import HTTPWire
import MCP
import Reactor
import Translation

/// The GET stream of a session, on which the server sends what belongs to no request (basic/transports, "Listening for
/// Messages from the Server").
///
/// It is opened again whenever it ends, for as long as the session lives.
final class PushStream {
    /// Between two attempts; doubled after each that brought nothing.
    private static let firstDelay: Duration = .milliseconds(500)
    private static let lastDelay: Duration = .seconds(30)

    private unowned let session: LegacySession
    private let backend: Backend
    private let credentials: Credentials
    private let request: () -> HTTPMessage
    private let wakeup = Wakeup()
    private let timer: Deadline
    private var exchange: BackendExchange?
    private var isStopped = false

    init(
        session: LegacySession, backend: Backend, credentials: Credentials,
        request: @escaping () -> HTTPMessage
    ) {
        self.session = session
        self.backend = backend
        self.credentials = credentials
        self.request = request
        timer = Deadline(on: backend.loop)
    }

    func run() async {
        var delay = PushStream.firstDelay
        while !isStopped {
            let outcome = await listen()
            switch outcome {
            case .notOffered: return
            case .gone: return session.lost()
            case .heard: delay = PushStream.firstDelay
            case .failed: delay = min(delay * 2, PushStream.lastDelay)
            }
            if !isStopped { await pause(delay) }
        }
    }

    func stop() {
        isStopped = true
        exchange?.fail(with: BackendError(.cancelled, "the session has ended"))
        timer.set(nil)
        wakeup.signal()
    }

    private enum Outcome {
        /// The server has no such stream (405) or refuses it: it will not change its mind.
        case notOffered
        /// The server has lost the session.
        case gone
        /// The stream was there, and has ended.
        case heard
        case failed
    }

    private func listen() async -> Outcome {
        do throws(BackendError) {
            let exchange = BackendExchange(request(), to: backend, patience: .endless, isRepeatable: true)
            self.exchange = exchange
            defer {
                exchange.abandon()
                self.exchange = nil
            }
            if isStopped { return .failed }
            let head = try await exchange.head()
            guard head.status == 200 else {
                if await session.isLoss(head, of: exchange) { return .gone }
                return head.status >= 500 ? .failed : .notOffered
            }
            while let text = try await exchange.next(), !isStopped { hear(text) }
            return .heard
        } catch {
            return .failed
        }
    }

    private func hear(_ text: [UInt8]) {
        // What is no message here belongs to nobody's call, and is dropped.
        guard let messages = try? session.read(text) else { return }
        for message in messages {
            switch message.kind {
            case .request: session.answer(message, credentials: credentials)
            case .notification: session.hear(message)
            case .response: break
            }
        }
    }

    private func pause(_ delay: Duration) async {
        var isOver = false
        timer.onExpiry = { [unowned self] in
            isOver = true
            wakeup.signal()
        }
        timer.set(after: delay)
        while !isOver, !isStopped { await wakeup.wait() }
        timer.onExpiry = nil
    }
}
