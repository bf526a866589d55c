@testable import Legacy

/// A call that asks for a session.
final class PoolCaller {
    let waiter: SessionWaiter
    let caller: UInt8
    let owner: FakeOwner?
    var outcome: Result<Lease, BackendError>?

    init(_ waiter: SessionWaiter, of caller: UInt8, for owner: FakeOwner?) {
        self.waiter = waiter
        self.caller = caller
        self.owner = owner
    }

    var lease: Lease? { try? outcome?.get() }
    var session: LegacySession? { lease?.session }
    var error: BackendError? { if case .failure(let error) = outcome { error } else { nil } }
}
