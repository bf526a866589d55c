/// What the command line asks for.
struct Options {
    static let usage = """
        usage: simulator --seed N [--mood calm|breezy|rough|hell] [--calls N] [--clients N] [--without PART,PART...]
                         [--long] [--trace] [--system-calls]
                                                        play one run
               simulator --seed N --shrink [...]        find the smallest run that still goes wrong
               simulator [--kept FILE] [--time SECONDS] [--first N] [--jobs N] [--mood ...]
                                                        play the runs of a file, each a line of options with a name
                                                        behind #, and then new ones; shrink what goes wrong. --first-wrong ends there,
                                                        --unshrunk goes on at once
        """

    var seed: UInt64?
    var mood: Profile.Mood?
    var calls: Int?
    var clients: Int?
    /// Parts of the profile that are left out.
    var without: [String] = []
    /// Whether everything that was counted is printed.
    private(set) var isLong = false
    /// Whether everything is told as it happened.
    private(set) var isTracing = false
    private(set) var showsCalls = false
    private(set) var shrinks = false
    /// Whether a series ends with the first run that goes wrong, which is not shrunk.
    private(set) var stopsAtFirst = false
    /// Whether what goes wrong in a series is not shrunk.
    private(set) var isUnshrunk = false
    private(set) var seconds: Int?
    private(set) var jobs = 2
    private(set) var first: UInt64?
    private(set) var kept: String?

    init?(_ arguments: ArraySlice<String>) {
        var rest = arguments
        while let name = rest.popFirst() {
            switch name {
            case "--long":
                isLong = true
                continue
            case "--trace":
                isTracing = true
                continue
            case "--system-calls":
                showsCalls = true
                continue
            case "--first-wrong":
                stopsAtFirst = true
                continue
            case "--unshrunk":
                isUnshrunk = true
                continue
            case "--shrink":
                shrinks = true
                continue
            default: break
            }
            guard let value = rest.popFirst() else { return nil }
            switch name {
            case "--seed": seed = UInt64(value)
            case "--mood": mood = Profile.Mood(rawValue: value)
            case "--calls": calls = Int(value)
            case "--clients": clients = Int(value)
            case "--without": without = value.split(separator: ",").map(String.init)
            case "--time": seconds = Int(value)
            case "--jobs": jobs = Int(value) ?? 1
            case "--first": first = UInt64(value)
            case "--kept": kept = value
            default: return nil
            }
        }
        var profile = Profile.nothing
        guard without.allSatisfy({ profile.leaveOut($0) }) else { return nil }
    }

    /// The command line of one run.
    var arguments: [String] {
        var all: [String] = []
        if let seed { all += ["--seed", "\(seed)"] }
        if let mood { all += ["--mood", mood.rawValue] }
        if let calls { all += ["--calls", "\(calls)"] }
        if let clients { all += ["--clients", "\(clients)"] }
        if !without.isEmpty { all += ["--without", without.joined(separator: ",")] }
        return all
    }

    /// What the seed decides, with what was asked for in its place.
    func profile() -> Profile {
        var profile = Profile(mood: mood)
        if let calls { profile.calls = calls }
        if let clients {
            profile.clients = clients
            profile.callers = min(profile.callers, clients)
        }
        for part in without { _ = profile.leaveOut(part) }
        return profile
    }
}
