import Crypto
import Reactor

/// The calls of one loop during which clients were asked, by the id that `requestState` has. It outlives the gateways of the
/// loop: a retry finds its call under whatever configuration it comes.
package final class ParkedCalls {
    /// Names this loop in what it seals (`Replicas.owner`), so that a retry that comes elsewhere can be brought here.
    package let owner: [UInt8]
    private(set) var settings: ParkingSettings

    /// Where calls are that are not here any more because they became tasks.
    weak var promoted: (any PromotedTasks)?

    private var places: ParkingPlaces
    private var calls: [CallID: InteractiveCall] = [:]
    private var spent = SpentCalls()
    private var lastLeg = 0
    private let emptied = Wakeup()
    var numbers = ParkingCounts()

    package init(owner: [UInt8], settings: ParkingSettings) {
        self.owner = owner
        self.settings = settings
        places = ParkingPlaces(max: settings.maxParked, maxPerPrincipal: settings.maxParkedPerPrincipal)
    }

    /// Another configuration is in force: it holds for calls that are parked from now on.
    func applySettings(_ settings: ParkingSettings) {
        self.settings = settings
        places.setLimits(max: settings.maxParked, maxPerPrincipal: settings.maxParkedPerPrincipal)
    }

    /// What was counted so far.
    package var counts: ParkingCounts {
        var counts = numbers
        counts.kept = places.keptCount
        counts.parked = calls.count - counts.kept
        return counts
    }

    /// A number for a request that waits for a call.
    func nextLeg() -> Int {
        lastLeg += 1
        return lastLeg
    }

    func parkedCall(_ id: CallID) -> InteractiveCall? { calls[id] }

    /// A place for a call whose client is about to be asked; false when there is none.
    func takePlace(_ call: InteractiveCall, for principal: KeyedHash) -> Bool {
        switch places.takePlace(call.id, for: principal) {
        case .full:
            numbers.full += 1
            return false
        case .taken(let evicted):
            calls[call.id] = call
            if let evicted { evictCall(evicted) }
            return true
        }
    }

    /// The response of the call is there, of so many bytes.
    func responseIsKept(_ id: CallID, size: Int) {
        guard calls[id] != nil else { return }
        for evicted in places.responseIsKept(id, size: size) { evictCall(evicted) }
        emptied.signal()
    }

    /// Whether no request waits for the call.
    func markSpare(_ id: CallID, _ isSpare: Bool) { places.markSpare(id, isSpare) }

    /// The call has lost its place to another.
    private func evictCall(_ id: CallID) { calls.removeValue(forKey: id)?.yieldSession() }

    /// A call is about to be forgotten which was sent after its client was asked. What the client carries does not say so.
    func noteSpent(_ id: CallID) {
        let now = UnixTime.now
        spent.insertCall(id, until: now + settings.parkTimeout + settings.parkTimeout, at: now)
    }

    /// Whether a call was sent here after the client was given this, and is forgotten.
    func hasSpent(_ state: RequestState) -> Bool {
        state.phase != .dispatched
            && (spent.contains(state.call) || state.owner == owner && spent.hasDropped(since: state.issued))
    }

    /// The state of a call that is not here any more, as far as is known here.
    func knownState(_ state: RequestState) -> RequestState {
        guard hasSpent(state) else { return state }
        var known = state
        known.phase = .dispatched
        return known
    }

    /// Nothing will come of the call any more.
    func forgetCall(_ id: CallID) {
        guard calls.removeValue(forKey: id) != nil else { return }
        places.leavePlace(id)
        emptied.signal()
    }

    // MARK: The end

    /// Waits while a client may still come back for a call that is not at its end, and not beyond `end`.
    func waitForRetries(until end: Instant, on loop: Loop) async {
        await emptied.wait(while: { calls.count > places.keptCount }, until: end, on: loop)
    }

    /// Cancels every call: the process is about to stop.
    func stopCalls() {
        for call in calls.values { call.stopCall() }
        calls = [:]
    }
}
