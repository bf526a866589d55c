import Crypto

/// Which calls are parked or kept, and how many may be: in all, because each costs memory and a session, and for each principal,
/// so that one cannot take the places of all others. Where there is no place, calls for which no retry can come go first, and
/// then the call that has waited for its client for the longest.
struct ParkingPlaces {
    /// Bytes of all responses that are kept. One may have as many as `limits.max_response` allows, and most are kept for a
    /// client that has got it.
    static let maxKeptBytes = 32 << 20

    enum Taking: Equatable {
        /// `evicted`: whose place it was until now.
        case taken(evicted: CallID?)
        /// Every call that has a place is running, with a request that waits for it.
        case full
    }

    private struct Holder {
        let principal: KeyedHash
        /// Bytes of its response.
        var size = 0
    }

    private var max: Int
    private var maxPerPrincipal: Int
    private var places: [CallID: Holder] = [:]
    private var perPrincipal: [KeyedHash: Int] = [:]
    /// Calls without a request that waits for them.
    private var spare = Spares<KeyedHash, CallID>()
    /// Those whose response is only kept.
    private var done = Spares<KeyedHash, CallID>()
    private var keptBytes = 0

    init(max: Int, maxPerPrincipal: Int) {
        self.max = max
        self.maxPerPrincipal = maxPerPrincipal
    }

    /// Sets the limits. Calls that have a place keep it.
    mutating func setLimits(max: Int, maxPerPrincipal: Int) {
        self.max = max
        self.maxPerPrincipal = maxPerPrincipal
    }

    /// How many are only kept.
    var keptCount: Int { done.count }

    /// A place for a call whose client is about to be asked. A response that is only kept makes room for it, since most clients
    /// got theirs, and so does the call that has been parked for the longest.
    mutating func takePlace(_ call: CallID, for principal: KeyedHash) -> Taking {
        if places[call] != nil { return .taken(evicted: nil) }
        let held = perPrincipal[principal, default: 0]
        var evicted: CallID?
        if held >= maxPerPrincipal {
            guard let spare = done.longestSpare(of: principal) ?? spare.longestSpare(of: principal) else {
                return .full
            }
            evicted = spare
        } else if places.count >= max {
            guard let spare = done.longestOfTheLargest ?? longestParked(for: principal, held) else { return .full }
            evicted = spare
        }
        if let evicted { leavePlace(evicted) }
        places[call] = Holder(principal: principal)
        perPrincipal[principal, default: 0] += 1
        return .taken(evicted: evicted)
    }

    /// No principal loses a place to one that has more.
    private func longestParked(for principal: KeyedHash, _ held: Int) -> CallID? {
        if let longest = spare.longestOfTheLargest, let owner = places[longest]?.principal,
            perPrincipal[owner, default: 0] >= held
        {
            return longest
        }
        return spare.longestSpare(of: principal)
    }

    /// Whether no request waits for the call, so that it can be spared. Does nothing if the call has no place.
    mutating func markSpare(_ call: CallID, _ isSpare: Bool) {
        guard let place = places[call] else { return }
        if isSpare { spare.insert(call, of: place.principal) } else { spare.remove(call) }
    }

    /// The response of the call is there.
    ///
    /// - Parameter size: bytes of it.
    /// - Returns: calls whose responses have to go for it: first the oldest of the principal that has the most. Its own response
    ///   is kept, however large.
    mutating func responseIsKept(_ call: CallID, size: Int) -> [CallID] {
        guard let place = places[call], !done.contains(call) else { return [] }
        var evicted: [CallID] = []
        keptBytes += size
        while keptBytes > ParkingPlaces.maxKeptBytes, let oldest = done.longestOfTheLargest {
            evicted.append(oldest)
            leavePlace(oldest)
        }
        spare.remove(call)
        done.insert(call, of: place.principal)
        places[call]?.size = size
        return evicted
    }

    /// Nothing of the call is kept any more. Does nothing when it has no place.
    mutating func leavePlace(_ call: CallID) {
        guard let place = places.removeValue(forKey: call) else { return }
        spare.remove(call)
        done.remove(call)
        keptBytes -= place.size
        guard let held = perPrincipal[place.principal] else { return }
        perPrincipal[place.principal] = held > 1 ? held - 1 : nil
    }
}
