/// What the command line asks for.
struct Options {
    static let usage = """
        usage: simulator --seed N [--mood calm|breezy|rough|hell] [--calls N] [--clients N] [--long] [--trace]
        """

    private(set) var seed: UInt64?
    private(set) var mood: Profile.Mood?
    private(set) var calls: Int?
    private(set) var clients: Int?
    /// Whether everything that was counted is printed.
    private(set) var isLong = false
    /// Whether everything is told as it happens.
    private(set) var isTracing = false

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
            default: break
            }
            guard let value = rest.popFirst() else { return nil }
            switch name {
            case "--seed": seed = UInt64(value)
            case "--mood": mood = Profile.Mood(rawValue: value)
            case "--calls": calls = Int(value)
            case "--clients": clients = Int(value)
            default: return nil
            }
        }
    }

    /// What the seed decides, with what was asked for in its place.
    func profile() -> Profile {
        var profile = Profile(mood: mood)
        if let calls { profile.calls = calls }
        if let clients {
            profile.clients = clients
            profile.callers = min(profile.callers, clients)
        }
        return profile
    }
}
