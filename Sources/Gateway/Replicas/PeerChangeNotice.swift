import Translation

/// A change notice that a server sent on one loop or replica, for the others.
package struct PeerChangeNotice: Hashable, Sendable {
    /// `Seal.callerName(of:)` of the caller whose session received it.
    let caller: [UInt8]
    let notice: ChangeNotice
}
