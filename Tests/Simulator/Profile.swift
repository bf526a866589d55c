import SimulatedKernel

/// What a run is like: everything that its seed decides before it begins.
struct Profile {
    enum Mood: String, CaseIterable { case calm, breezy, rough, hell }

    var mood: Mood
    var weather = sim_weather()
    /// Clients, and how they share callers.
    var clients = 8
    var callers = 4
    /// Of all clients together.
    var calls = 400
    /// Thousandths.
    var askable = 0
    var older = 0
    var anonymous = 0
    var leaves = 0
    /// Of calls that were asked something, those to which nobody comes back.
    var abandons = 0
    /// Of retries that broke off, those that are sent again.
    var returns = 600
    /// Runs that take their time when they have their answers.
    var lasting = 100
    /// Clients that read their answers in sips.
    var sips = 0
    /// Of questions, those to which a client says no, and of some at once, how often one is left out.
    var declines = 50
    var partly = 200
    /// Of requests, how often one that listens is sent behind them.
    var listensBehind = 0
    /// Listeners that read nothing for a while.
    var dozes = 0
    /// Listeners come at multiples of this, as after an outage; 0: at any time.
    var gathering: Int64 = 0
    /// Requests with a long id.
    var longIDs = 20
    var slow = 0
    var pipelines = 100
    var bad = 0
    var lists = 100
    var padded = 50
    var mostPadding = 2000
    /// Requests that are long, and the most of what makes them so.
    var large = 20
    var mostFill = 300_000
    /// Of long requests, those that are answered before they are read; of those, the ones that are then not read to their end.
    var early = 500
    /// Sessions whose server asks before the first call.
    var earlyQuestions = 200
    /// Handshakes that are answered by an event stream, GET streams that end by themselves, and subscriptions that are refused.
    var streamsFirst = 300
    var pushEnds = 200
    var refusesSubscriptions = 200
    /// Questions that a stream brings once more which is taken up; connections without a request that the server ends.
    var repeatsQuestions = 300
    var endsIdle = 0
    /// Lists that change, and of these the ones that do so while they are read.
    var listChanges = 0
    var changesWhileRead = 0
    /// Changes that are told in quick succession.
    var storms = 0
    /// Whether the server is one of 2024-11-05: a session is an event stream.
    var isEventStream = false
    /// Whether it is one of 2026-07-28, to which requests are forwarded.
    var isModern = false
    /// Peers do what they do at multiples of this; 0: at any time. What is done at the same moment arrives in one wake.
    var tick: Int64 = 0
    var thinking: Int64 = 200 * millisecond
    /// How servers answer calls, by weights.
    var ways: [(Way, Int)] = Way.kind
    var serverThinking: Int64 = 50 * millisecond
    var pushes = true
    /// Clients that listen.
    var listeners = 0
    /// Remoras that are replicas of each other.
    var replicas = 1
    /// Copies of one server.
    var servers = 1
    /// Whether somebody asks on the admin listener.
    var looksAround = false
    var kills = 0
    var drains = 0
    /// Each about so often, of all the run; 0: never.
    var restarts = 0
    var partitions = 0
    var reloads = 0
    // Of the configuration.
    var maxSessions = 64
    var requestTimeout = 60
    var idleTimeout = 300
    var parkTimeout = 120
    var maxParked = 1024
    var streamBuffer = 256
    var maxConnections = 10000
    /// Of a server that gets only so many calls at once; nil: any number.
    var callsAtOnce: Int?

    var maxParkedPerCaller: Int { max(1, maxParked / 2) }

    /// How long a server takes its time that answers all the same.
    var longest: Int64 { Int64(min(40, requestTimeout / 3)) * second }

    /// Whether nothing may fail.
    var isCalm: Bool { mood == .calm }

    /// Nothing by chance.
    static let nothing = Profile()

    private init() { mood = .calm }

    init(mood wanted: Mood?) {
        mood = wanted ?? Dice.one(by: [(.calm, 3), (.breezy, 3), (.rough, 3), (.hell, 1)])
        clients = Dice.one(by: [(1, 1), (Dice.number(2...6), 3), (Dice.number(6...30), 3)])
        callers = Dice.number(1...max(1, min(8, clients)))
        thinking = Dice.one(of: [2 * millisecond, 50 * millisecond, second, 20 * second])
        askable = Dice.one(of: [0, 300, 1000])
        older = Dice.one(of: [0, 0, 200])
        listeners = Dice.one(of: [0, 0, Dice.number(1...10)])
        listensBehind = Dice.one(of: [0, 30])
        isEventStream = Dice.happens(150)
        if !isEventStream, Dice.happens(80) {
            isModern = true
            (older, listeners, listensBehind) = (0, 0, 0)
        }
        tick = Dice.one(of: [0, 0, 0, millisecond, 20 * millisecond])
        replicas = Dice.one(of: [1, 1, 1, 2, 3])
        servers = Dice.one(of: [1, 1, 1, 2])
        looksAround = Dice.happens(300)
        anonymous = Dice.one(of: [0, 0, 300])
        pipelines = Dice.one(of: [0, 100, 600])
        serverThinking = Dice.one(of: [millisecond, 50 * millisecond, second])
        mostPadding = Dice.one(of: [100, 5000, 100_000])
        pushes = Dice.happens(700)
        idleTimeout = Dice.one(of: [5, 60, 300])
        requestTimeout = Dice.one(of: [20, 60, 300])
        streamBuffer = Dice.one(of: [4, 256])
        weather.latency_least = 20 * microsecond
        weather.latency_most = Dice.one(of: [20 * microsecond, 100 * microsecond, millisecond, 30 * millisecond])
        weather.cut = Dice.one(of: [0, 3000, 40000])
        weather.partial = Dice.one(of: [0, 1000, 30000])
        weather.small_window = Dice.one(of: [0, 10000, 60000])
        // What comes to a busy machine meanwhile is told in one wake.
        weather.wake_most = Dice.one(of: [0, 50 * microsecond, 3 * millisecond, 3 * millisecond, 40 * millisecond])
        weather.call_most = 3 * microsecond
        weather.shuffled = 30000
        large = Dice.one(of: [20, 20, 300])
        repeatsQuestions = Dice.one(of: [0, 300])
        listChanges = Dice.one(of: [0, 0, 20, 60])
        changesWhileRead = Dice.one(of: [0, 100, 500])
        if listChanges > 0 { lists = Dice.one(of: [100, 600]) }
        storms = Dice.one(of: [0, 0, 2, 6])
        dozes = storms > 0 ? Dice.one(of: [0, 500]) : 0
        // Who dozes is to miss something.
        if dozes > 0, !isModern {
            listeners = max(listeners, Dice.number(1...10))
            weather.small_window = Dice.one(of: [10000, 60000])
        }
        // What is long takes too long where a window is small and far away.
        if weather.small_window > 0 { mostFill = 30_000 }
        if listeners > 0, Dice.happens(300) {
            gathering = Dice.one(of: [second, 5 * second])
            listeners = Dice.number(4...16)
        }
        refusesSubscriptions = Dice.one(of: [0, 200, 600])
        lasting = Dice.one(of: [100, 600])
        switch mood {
        case .calm:
            abandons = Dice.one(of: [0, 300])
            // Enough for all that runs at once, and not for all that is waited for: that makes room.
            maxSessions = 4 * clients + 4 * callers + 4 * listeners + 8
            parkTimeout = Dice.one(of: [120, 600])
        case .breezy:
            leaves = Dice.one(of: [20, 20, 150])
            slow = 30
            sips = Dice.one(of: [0, 40])
            endsIdle = Dice.one(of: [0, 300])
            if !isModern { callsAtOnce = Dice.one(of: [nil, nil, Dice.number(1...2 * clients)]) }
            bad = 20
            weather.late = 600
            weather.late_most = 300 * millisecond
            ways = Way.kind + Way.mixed
        case .rough:
            leaves = Dice.one(of: [100, 400])
            returns = Dice.one(of: [600, 950])
            slow = 60
            sips = Dice.one(of: [0, 40])
            endsIdle = Dice.one(of: [0, 300])
            maxParked = Dice.one(of: [1024, Dice.number(2...20)])
            bad = 50
            restarts = 3
            weather.late = 600
            weather.late_most = 2 * second
            weather.reset = 60
            weather.refused = 600
            weather.stall = 20
            weather.stall_most = 20 * millisecond
            ways = Way.kind + Way.mixed + Way.broken
            maxSessions = Dice.number(2...40)
        case .hell:
            leaves = 250
            slow = 150
            bad = 200
            restarts = 10
            partitions = 4
            weather.late = 3000
            weather.late_most = 4 * second
            weather.reset = 600
            weather.refused = 3000
            weather.unanswered = 600
            weather.stall = 60
            weather.stall_most = 300 * millisecond
            ways = Way.kind + Way.mixed + Way.broken + Way.broken
            maxSessions = Dice.number(1...12)
            maxParked = Dice.number(1...20)
            maxConnections = Dice.one(of: [20, 10000])
        }
        // Few ways at a time: what two of them do together comes up more often.
        if Dice.happens(400) { favour(Dice.number(1...3)) }
        if mood != .calm {
            // Who does not come back keeps its turn.
            abandons = callsAtOnce == nil ? leaves : 0
            reloads = Dice.one(of: [0, 0, 4])
            if callsAtOnce != nil { reloads = 0 }
            if mood != .breezy {
                kills = Dice.one(of: [0, 2])
                drains = Dice.one(of: [0, 0, 2])
            }
        }
    }

    private mutating func favour(_ count: Int) {
        for _ in 0..<count {
            let place = Dice.number(0...ways.count - 1)
            ways[place].1 *= 20
        }
    }

    /// Leaves out what a word names. Returns whether it names something.
    mutating func leaveOut(_ what: String) -> Bool {
        switch what {
        case "leaving": (leaves, abandons) = (0, 0)
        case "slow": (slow, sips, dozes) = (0, 0, 0)
        case "bad": bad = 0
        case "older": older = 0
        case "listeners": listeners = 0
        case "gathering": gathering = 0
        case "replicas": replicas = 1
        case "kills": kills = 0
        case "drains": drains = 0
        case "copies": servers = 1
        case "looks": looksAround = false
        case "restarts": restarts = 0
        case "partitions": partitions = 0
        case "reloads": reloads = 0
        case "pipelining": pipelines = 0
        case "padding": padded = 0
        case "lists": (lists, listChanges) = (0, 0)
        case "turns": callsAtOnce = nil
        case "idle": endsIdle = 0
        case "storms": (storms, dozes) = (0, 0)
        case "repeats": repeatsQuestions = 0
        case "asking": askable = 0
        case "early": (early, earlyQuestions) = (0, 0)
        case "introductions": (streamsFirst, pushEnds) = (0, 0)
        case "subscriptions": refusesSubscriptions = 0
        case "long": longIDs = 0
        case "behind": listensBehind = 0
        case "ticks": tick = 0
        case "returning": returns = 0
        case "declining": (declines, partly) = (0, 0)
        case "sse": isEventStream = false
        case "modern": isModern = false
        case "large": large = 0
        case "late": weather.late = 0
        case "resets": weather.reset = 0
        case "refusals": (weather.refused, weather.unanswered) = (0, 0)
        case "stalls": weather.stall = 0
        case "cuts": (weather.cut, weather.partial, weather.small_window) = (0, 0, 0)
        case "broken": ways = Way.kind
        default: return false
        }
        return true
    }

    /// What can be left out.
    static let parts = [
        "kills", "drains", "copies", "looks", "restarts", "partitions", "reloads", "replicas", "listeners", "older",
        "bad", "slow", "leaving",
        "padding",
        "lists", "pipelining", "resets", "refusals", "late", "stalls", "cuts", "broken", "asking", "early", "large",
        "turns", "idle", "storms", "gathering", "repeats", "introductions", "subscriptions", "long", "behind", "ticks",
        "returning",
        "declining", "sse", "modern",
    ]

    static func port(of replica: Int) -> UInt16 { UInt16(8808 + replica) }

    static func adminPort(of replica: Int) -> UInt16 { UInt16(9200 + replica) }

    /// The first has what concerns all of them.
    private var backends: String {
        (0..<servers).map { number in
            "  - url: http://127.0.0.1:\(9000 + number)/\(isEventStream ? "sse" : "mcp")"
                + (number == 0
                    ? "\n    transport: \(isEventStream ? "sse" : "http")\n    era: \(isModern ? "modern" : "auto")"
                        + (callsAtOnce.map { "\n    calls_at_once: \($0)" } ?? "")
                    : "")
        }.joined(separator: "\n")
    }

    private func ring(_ number: Int, key: String) -> String {
        if replicas == 1 { return "" }
        let others = (0..<replicas).map { "    r\($0): http://127.0.0.1:\(8900 + $0)" }.joined(separator: "\n")
        return """
            replicas:
              id: r\(number)
              address: 127.0.0.1:\(8900 + number)
              keys: [\(key)]
              peers:
            \(others)

            """
    }

    func configuration(of number: Int, key: String) -> String {
        ring(number, key: key) + """
            listen:
              address: 127.0.0.1:\(Profile.port(of: number))
            backends:
            \(backends)
            admin:
              address: 127.0.0.1:\(Profile.adminPort(of: number))
            sessions:
              max: \(maxSessions)
              idle_timeout: \(idleTimeout)s
            interaction:
              park_timeout: \(parkTimeout)s
              max_parked: \(maxParked)
              max_parked_per_principal: \(maxParkedPerCaller)
            limits:
              max_head: 64KiB
              request_timeout: \(requestTimeout)s
              stream_buffer: \(streamBuffer)KiB
              max_connections: \(maxConnections)
            log:
              level: error

            """
    }
}
