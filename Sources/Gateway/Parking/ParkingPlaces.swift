import Crypto

/// Which calls are parked or kept, and how many may be: in all, because each costs memory and a session, and for each
/// principal, so that one cannot take the places of all others.
struct ParkingPlaces {
    /// Bytes of all responses that are kept. One may have as many as `limits.max_response` allows, and most are kept for a
    /// client that has got it.
    static let maxKeptBytes = 32 << 20

    enum Taking: Equatable {
        /// `evicted`: whose kept response has to go for it.
        case taken(evicted: CallID?)
        case full
    }

    private struct Place {
        let principal: KeyedHash
        /// When it was done, in the order of all; nil until then.
        var done: Int?
        /// Bytes of its response.
        var size = 0
    }

    private var max: Int
    private var maxPerPrincipal: Int
    private var places: [CallID: Place] = [:]
    private var perPrincipal: [KeyedHash: Int] = [:]
    private var count = 0
    private var keptBytes = 0

    init(max: Int, maxPerPrincipal: Int) {
        self.max = max
        self.maxPerPrincipal = maxPerPrincipal
    }

    /// There may be so many from now on. Whoever has a place keeps it.
    mutating func use(max: Int, maxPerPrincipal: Int) {
        self.max = max
        self.maxPerPrincipal = maxPerPrincipal
    }

    /// A place for a call that waits for its client. A response that is only kept makes room: most clients got theirs.
    mutating func take(_ call: CallID, for principal: KeyedHash) -> Taking {
        var evicted: CallID?
        if perPrincipal[principal, default: 0] >= maxPerPrincipal {
            guard let oldest = oldestDone(of: principal) else { return .full }
            evicted = oldest
        } else if places.count >= max {
            guard let oldest = oldestDone(of: nil) else { return .full }
            evicted = oldest
        }
        if let evicted { leave(evicted) }
        places[call] = Place(principal: principal)
        perPrincipal[principal, default: 0] += 1
        return .taken(evicted: evicted)
    }

    /// - Parameter principal: nil for any.
    private func oldestDone(of principal: KeyedHash?) -> CallID? {
        places.filter { $0.value.done != nil && (principal == nil || $0.value.principal == principal) }
            .min { $0.value.done ?? 0 < $1.value.done ?? 0 }?.key
    }

    /// The response of the call is there.
    ///
    /// - Parameter size: bytes of it.
    /// - Returns: whose responses have to go for it, the oldest first. It is kept itself, however large.
    mutating func done(_ call: CallID, size: Int) -> [CallID] {
        guard places[call] != nil else { return [] }
        var evicted: [CallID] = []
        keptBytes += size
        while keptBytes > ParkingPlaces.maxKeptBytes, let oldest = oldestDone(of: nil) {
            evicted.append(oldest)
            leave(oldest)
        }
        count += 1
        places[call]?.done = count
        places[call]?.size = size
        return evicted
    }

    /// Nothing of the call is kept any more. Does nothing when it has no place.
    mutating func leave(_ call: CallID) {
        guard let place = places.removeValue(forKey: call) else { return }
        keptBytes -= place.size
        guard let held = perPrincipal[place.principal] else { return }
        perPrincipal[place.principal] = held > 1 ? held - 1 : nil
    }
}
