import JSONText
import MCP
import Reactor
import Telemetry
import Translation

/// stdio (2025-11-25, basic/transports): a child for the session, a line for each message.
final class StdioTransport: Channel, ChannelTransport {
    /// How long a child may take to end after its input was closed, and again after SIGTERM. As the published SDKs do.
    private static let patience: Duration = .seconds(2)
    /// The same for a child without a session that no call waits for: others wait for its place.
    private static let patienceBeforeSession: Duration = .milliseconds(500)
    /// What a child wrote before it ended is read for this long: a process that it started may hold the pipe open.
    private static let afterlife: Duration = .seconds(1)
    /// Notifications and responses that wait for the child to read. A server that asks without end and reads nothing must
    /// not fill our memory with answers.
    private static let maxWaiting = 256

    private struct Outgoing {
        let parts: [ArraySlice<UInt8>]
        let call: ChannelCall?

        var size: Int { parts.reduce(0) { $0 + $1.count } }
    }

    private let server: CommandBackend
    private var child: ChildProcess?
    private var lines: LineDecoder
    private var output: ChildOutput?
    /// What the child did not read yet, but for the message that it has read a part of.
    private var outbox: [Outgoing] = []
    private var waitingNotifications = 0
    /// Bytes of ``outbox``.
    private var waitingBytes = 0
    /// Signalled when the child has read something, or has ended.
    private let taken = Wakeup()

    init(to server: CommandBackend) {
        self.server = server
        lines = LineDecoder(maxLine: server.limits.maxMessage)
        super.init(to: server)
    }

    // MARK: Opening

    func connectChannel(_ credentials: Credentials) async throws(BackendError) {
        let child = try server.startChild()
        self.child = child
        let output = ChildOutput(of: child.id, on: loop, log: server.log)
        self.output = output
        child.errors.onBytes = { output.receivedBytes($0) }
        child.errors.onEnd = { output.endOutput() }
        child.errors.startReading()
        child.output.onBytes = { [weak self] in self?.receivedOutput($0) }
        child.output.onEnd = { [weak self] in self?.outputEnded() }
        child.output.startReading()
        child.input.onDrained = { [weak self] in self?.flushQueue() }
        loop.spawn { [weak self] in
            await child.waitForEnd()
            await self?.childEnded(child)
        }
    }

    // MARK: Receiving

    private func receivedOutput(_ bytes: Span<UInt8>) {
        var offset = 0
        do throws(LineDecoder.TooLong) {
            while ending == nil, let line = try lines.nextLine(bytes, from: &offset) {
                if !line.isEmpty { receivedMessage(line) }
            }
        } catch {
            failCalls(
                BackendError(
                    .outcomeUnknown,
                    "the server wrote a line longer than limits.max_response (\(limits.maxMessage) bytes)"))
        }
    }

    /// What is no message is what the program prints for people.
    override func passOver(_ text: [UInt8], because flaw: ServerMessages.Flaw) {
        switch flaw {
        case .noJSON, .noMessage: output?.logStrayLine(text)
        case .ambiguous: super.passOver(text, because: flaw)
        }
    }

    override func pauseReading() { child?.output.pauseReading() }

    override func resumeReading() { child?.output.resumeReading() }

    // MARK: Sending

    func sendCall(
        _ text: SplicedText, for call: ChannelCall?, credentials: Credentials, trace: TraceContext?,
        failed: @escaping (BackendError) -> Void
    ) {
        enqueueMessage(text.slices, for: call)
    }

    /// Returns when the message is in line. That the child reads it is not known anyway.
    func sendNotification(_ text: [UInt8], credentials: Credentials) async throws(BackendError) {
        if let ending { throw ending }
        guard waitingNotifications < StdioTransport.maxWaiting else {
            throw BackendError(.unavailable, "the server does not read")
        }
        waitingNotifications += 1
        enqueueMessage([text[...]], for: nil)
    }

    /// Waits for its turn: a client that says more than the child reads is held up, and not this process's memory.
    func deliverMessage(_ text: [UInt8], credentials: Credentials) async throws(BackendError) {
        await taken.wait(
            while: { waitingBytes > limits.streamBuffer && ending == nil }, until: loop.now + limits.silence, on: loop)
        if waitingBytes > limits.streamBuffer, ending == nil {
            throw BackendError(.unavailable, "the server does not read")
        }
        try await sendNotification(text, credentials: credentials)
    }

    private func enqueueMessage(_ parts: [ArraySlice<UInt8>], for call: ChannelCall?) {
        let outgoing = Outgoing(parts: StdioTransport.messageLine(parts), call: call)
        waitingBytes += outgoing.size
        outbox.append(outgoing)
        flushQueue()
    }

    /// Hands the pipe one message after the other, each when the one before was read: what is not read can still be taken
    /// back.
    private func flushQueue() {
        guard let input = child?.input else { return }
        while input.unsentBytes == 0 || !input.isOpen, !outbox.isEmpty {
            let next = outbox.removeFirst()
            waitingBytes -= next.size
            if next.call == nil { waitingNotifications -= 1 }
            if next.call?.isOver == true { continue }
            let wasTaken = input.writeParts(next.parts)
            next.call?.wasSent = wasTaken
            // It has ended, which the loop has not been told of yet.
            if !wasTaken { next.call?.failCall(with: BackendError(.sessionLost, "the server does not read any more")) }
        }
        taken.signal()
    }

    /// A message as a line: a line break outside of a string, which JSON allows and a line does not, becomes a space.
    static func messageLine(_ parts: [ArraySlice<UInt8>]) -> [ArraySlice<UInt8>] {
        var line = parts.map { part in
            guard part.contains(where: { $0 == 0x0A || $0 == 0x0D }) else { return part }
            return part.map { $0 == 0x0A || $0 == 0x0D ? 0x20 : $0 }[...]
        }
        line.append([0x0A])
        return line
    }

    // MARK: The end

    private func outputEnded() {
        if let rest = lines.finishLine(), ending == nil { receivedMessage(rest) }
        // It goes, or it will not say anything any more.
        if child?.exit == nil { loop.spawn { [weak self] in await self?.endAfterOutput() } } else { childLost() }
    }

    private func endAfterOutput() async {
        _ = await child?.waitForEnd(StdioTransport.afterlife)
        childLost()
    }

    private func childEnded(_ child: ChildProcess) async {
        await child.output.waitForEnd(StdioTransport.afterlife)
        childLost()
    }

    private func childLost() {
        let how = child?.exit.map { " (\($0))" } ?? ", though its process runs"
        failCalls(BackendError(.unavailable, "the server has ended\(how)"))
    }

    override func tearDown() {
        outbox = []
        waitingBytes = 0
        taken.signal()
        guard let child else { return }
        // Its output is not looked at from now on, and it must not wait for that.
        child.output.discardInput()
        let isAbandoned = ending?.kind == .cancelled
        server.stopChild(child, patience: isAbandoned ? StdioTransport.patienceBeforeSession : StdioTransport.patience)
    }

    /// Returns when the child has ended.
    override func endSession() async {
        finishQuietly()
        await isGone()
    }

    /// SIGKILL sees to it that this does not take for ever.
    func isGone() async { if let child { await child.waitForEnd() } }
}
