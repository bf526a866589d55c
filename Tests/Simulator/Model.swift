import SimulatedKernel

/// A caller: what tells it apart is its credential.
final class Caller {
    let number: Int
    /// In `Authorization`; nil: none.
    let credential: String?

    init(number: Int, credential: String?) {
        self.number = number
        self.credential = credential
    }
}

/// What a call asks for.
enum Tool: String, CaseIterable {
    /// A tool that may not run twice.
    case work
    /// One that only reads, so that it may run once more when its answer is lost.
    case look
    /// One that may be repeated.
    case again
    case prompt
    case resource

    var isRepeatable: Bool { self != .work }

    var method: String {
        switch self {
        case .work, .look, .again: "tools/call"
        case .prompt: "prompts/get"
        case .resource: "resources/read"
        }
    }
}

/// A call, as the one who made it and the one who ran it know it.
final class Call {
    let number: Int
    let caller: Caller
    let tool: Tool
    /// Whether the client can be asked.
    let isAskable: Bool
    /// How often a handler of a server began to run it.
    var runs = 0
    /// Whether a server sent a response of its own to it, to the last byte.
    var responses = 0
    /// Requests with answers that its client sent.
    var retries = 0
    /// Questions that were asked, and the answers that came to the server.
    var questions = 0
    /// Whether a client was told that it did not run.
    var isSaidNotToHaveRun = false
    var ends = 0
    /// What its answer has behind its mark.
    let padding: Int
    /// Bytes of an argument that only makes it long.
    var fill = 0
    /// Bytes that make its id, and the name of its resource, longer than need be.
    var idFill = 0
    /// Whether its client was asked, and whether that was before any handler ran it.
    var isParked = false
    var wasAskedEarly = false
    /// When its client left.
    var left: Int64?
    /// When its client last came back with answers, and when a server last got one.
    var returned: Int64 = 0
    var heard: Int64 = 0
    /// The handlers of servers that ran it.
    var handlers: [ServerRun] = []
    /// Whether it is an older client's, which is passed on as it is and never sent twice.
    var isPassed = false

    init(number: Int, caller: Caller, tool: Tool, isAskable: Bool, padding: Int) {
        self.number = number
        self.caller = caller
        self.tool = tool
        self.isAskable = isAskable
        self.padding = padding
    }

    /// How often it may run: of what may be repeated, each of its requests leads to two runs at the most.
    var mostRuns: Int { tool.isRepeatable && !isPassed ? 2 * (1 + retries) : 1 }

    /// Its own, in all that is sent and received.
    ///
    /// What is sealed is spelled without parentheses, so that it never looks like a mark.
    var mark: String { "mk(\(number))" }

    /// What a server says that finds something wrong with it.
    var complaint: String { "\(mark) \(String("e", times: idFill + padding))" }

    /// What a server says that ran it for a credential, in a session of an owner.
    static func text(_ mark: String, for credential: String?, in owner: String?, padding: Int) -> String {
        "\(mark) for \(credential ?? "nobody") in \(owner ?? "nobody") \(String("p", times: padding))."
    }
}

/// What may be seen. Everything that is seen is told to it.
final class Model {
    private(set) var calls: [Call] = []
    private(set) var violation: String?
    private unowned let world: World
    /// What has ended how, and what happened besides.
    private(set) var counts: [String: Int] = [:]
    /// Answers that were the caller's own.
    private(set) var answers = 0

    init(_ world: World) { self.world = world }

    func call(of caller: Caller, _ tool: Tool, isAskable: Bool, padding: Int) -> Call {
        let call = Call(number: calls.count, caller: caller, tool: tool, isAskable: isAskable, padding: padding)
        calls.append(call)
        return call
    }

    private(set) var trace = Trace()

    func trace(_ what: StaticString, _ first: Int = 0, _ second: Int = 0, _ third: Int = 0) {
        trace.add(world.now, what, first, second, third)
    }

    func note(_ what: String) { counts[what, default: 0] += 1 }

    func violate(_ what: String) {
        if violation == nil { violation = "\(what) (at \(String(seconds: world.now)) s)" }
        world.isOver = true
    }

    // MARK: Marks

    /// The calls whose marks are in bytes.
    func marks(in bytes: [UInt8], _ body: (Call) -> Void) {
        var place = 0
        while let found = bytes.find("mk(", from: place) {
            var end = found + 3
            var number = 0
            while end < bytes.count, bytes[end] >= 48, bytes[end] <= 57, end < found + 15 {
                number = number * 10 + Int(bytes[end] - 48)
                end += 1
            }
            if end > found + 3, end < bytes.count, bytes[end] == UInt8(ascii: ")") {
                if calls.indices.contains(number) { body(calls[number]) } else { violate("a mark that was never made") }
            }
            place = end
        }
    }

    /// What a client of the caller has received.
    func check(received bytes: [UInt8], by caller: Caller) {
        marks(in: bytes) { call in
            if call.caller !== caller {
                violate(
                    "caller \(caller.number) received what belongs to call \(call.number) of caller \(call.caller.number)"
                )
            }
        }
    }

    /// What a server has received with a credential.
    func check(served bytes: [UInt8], with credential: String?) {
        marks(in: bytes) { call in
            if call.caller.credential != credential {
                violate("call \(call.number) came with the credential of another: \(credential ?? "none")")
            }
        }
    }

    // MARK: Runs

    /// A call that was asked before it ran is gone on with by another replica where the one that had it cannot be reached, and no
    /// replica knows what another had done (docs/limits.md). One that has ended by itself is as gone as one that was killed.
    private func isUnknown(_ call: Call) -> Bool {
        call.wasAskedEarly && ["kills", "partitions", "drains"].contains { counts[$0, default: 0] > 0 }
    }

    private func mostRuns(of call: Call) -> Int {
        isUnknown(call) ? max(call.mostRuns, call.retries) : call.mostRuns
    }

    /// When a handler last began, went on or ended.
    private var lastRun: Int64 = 0

    func noteWork() { lastRun = world.now }

    /// When a server last asked before there was a call, or a client saw such a question.
    private var askedEarly: Int64 = 0

    func noteEarlyQuestion() { askedEarly = world.now }

    /// Where nothing is lost on its way: a call that had no turn, or no session, was waiting for another one.
    ///
    /// - Parameter parkTime: how long a call keeps its turn whose client was asked and does not come back.
    func checkWait(of call: Call, since begun: Int64, parkTime: Int64) {
        guard call.runs == 0, world.now - begun > 15 * second, world.now - lastRun > 10 * second else { return }
        let isRecent = { [world] (time: Int64) in world.now - time < parkTime + 10 * second }
        let isBusy = calls.contains { other in
            other.isParked && other.ends == 0
                // No handler tells of one that was asked before it ran, perhaps in the moment in which its client left.
                || other.runs == 0 && other.isAskable && isRecent(askedEarly) && other.left.map(isRecent) == true
                || other.handlers.contains { !$0.isOver && !$0.isCancelled && !$0.session.isGone }
        }
        if !isBusy {
            violate(
                "call \(call.number) has waited, and for no other: nothing runs for \((world.now - lastRun) / second) s"
            )
        }
    }

    /// A handler begins to run a call.
    func ran(_ call: Call) {
        call.runs += 1
        noteWork()
        trace("call % runs for the % time", call.number, call.runs)
        if call.runs > mostRuns(of: call) { violate("call \(call.number) (\(call.tool)) ran \(call.runs) times") }
        if call.isSaidNotToHaveRun { violate("call \(call.number) ran, after its client was told that it did not") }
    }

    // MARK: Changes

    /// When servers have told of changes last, of each resource.
    private(set) var changes: [String: Int64] = [:]

    func changed(_ uri: String) {
        changes[uri] = world.now
        note("changes")
    }

    /// How often lists have changed, and when a server has told of that last, by what they are and whose.
    private(set) var listVersions: [String: Int] = [:]
    private(set) var listsTold: [String: (version: Int, time: Int64)] = [:]

    func changeList(_ name: String) {
        listVersions[name, default: 0] += 1
        note("lists that change")
    }

    func toldList(_ name: String) { listsTold[name] = (listVersions[name, default: 0], world.now) }

    /// What an item of a list says of itself.
    func listWords(_ method: String, for credential: String?) -> String {
        let name = "\(method) for \(credential ?? "nobody")"
        return "\(name), version \(listVersions[name, default: 0])"
    }

    /// What a client has received as its list, which it asked for at some time.
    ///
    /// - Parameter isCalm: whether no notice of a change can have been lost.
    func check(list words: String, _ method: String, of caller: Caller, asked: Int64, isCalm: Bool) {
        let name = "\(method) for \(caller.credential ?? "nobody")"
        guard words.hasPrefix("\(name), version "), let version = Int(words.dropFirst(name.utf8.count + 10)) else {
            return violate("caller \(caller.number) received a list of another: \(words)")
        }
        guard isCalm, let told = listsTold[name], told.time < asked - 5 * second, version < told.version else { return }
        violate("caller \(caller.number) received \(words), and heard of version \(told.version)")
    }

    static func uris(of caller: Caller) -> [String] {
        ["", "/a", "/a/b", "/c"].map { "test:of-caller-\(caller.number)\($0)" }
    }

    // MARK: Ends

    func answered(_ call: Call) {
        noteWork()
        end(call, "answered")
        answers += 1
    }

    /// The client was told of an error that is Remora's.
    ///
    /// - Parameter isRetry: whether what failed was not its first request.
    func failed(_ call: Call, reason: String, dispatched: Bool?, isRetry: Bool, message: String = "") {
        end(call, reason)
        // Of a retry of what may be repeated, it is about the retry: an attempt before it that broke off is not told of.
        if dispatched == false, !(isRetry && call.tool.isRepeatable) {
            call.isSaidNotToHaveRun = !isUnknown(call)
            if call.runs > 0, !isUnknown(call) {
                violate(
                    "call \(call.number) (\(call.tool), \(isRetry ? "a retry" : "its first request")) ran, and its client was told \(reason), which says that it did not: \(message)"
                )
            }
        }
    }

    /// The client left, or its connection was lost.
    func left(_ call: Call, _ why: String) {
        call.left = world.now
        end(call, why)
    }

    /// No client waits for the call any more: what runs of it is to hear of that in time.
    func expectEnd(of call: Call, within time: Int64) {
        world.after(time) { [unowned self] in
            // Who is busy on a page has as much time as one who was asked, and whose question is open.
            for run in call.handlers
            where !run.isOver && !run.isCancelled && !run.session.isGone
                && (time > 0 || run.way != .page && run.unanswered <= 0)
            {
                violate(
                    "call \(call.number) runs in session \(run.session.number), \(run.way), though no client waits for it any more"
                )
            }
        }
    }

    private func end(_ call: Call, _ how: String) {
        call.ends += 1
        trace("call % has ended", call.number)
        note("calls: \(how)")
        if call.ends > 1 { violate("call \(call.number) ended twice, the second time: \(how)") }
    }

    func finish() {
        for call in calls where call.ends != 1 {
            violate("call \(call.number) (\(call.tool)) ended \(call.ends) times")
        }
    }
}

extension String {
    init(seconds nanoseconds: Int64) {
        let thousandths = (nanoseconds - 1_000_000_000_000) / millisecond
        self = "\(thousandths / 1000).\("000\(thousandths % 1000)".suffix(3))"
    }
}
