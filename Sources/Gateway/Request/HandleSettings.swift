package import Translation

/// Sessions that clients open and name (`sessions.handles`).
package struct HandleSettings: Sendable, Equatable {
    /// Whether there are any. Each request looks at it.
    let isOn: Bool
    /// What clients are told of them; nil where there are none.
    package let offer: HandleOffer?
    /// How long a session of a handle may be without a call.
    package var idleTimeout: Duration
    /// How old it may be.
    package var maxAge: Duration
    /// How many of them one principal may have on this loop.
    package var maxPerPrincipal: Int

    /// - Parameter isRequired: whether each call of a tool has to name one.
    package init(isRequired: Bool, idleTimeout: Duration, maxAge: Duration, maxPerPrincipal: Int) {
        isOn = true
        offer = HandleOffer(
            isRequired: isRequired, idleTime: HandleSettings.words(of: idleTimeout),
            maxAge: HandleSettings.words(of: maxAge))
        self.idleTimeout = idleTimeout
        self.maxAge = maxAge
        self.maxPerPrincipal = maxPerPrincipal
    }

    private init() {
        isOn = false
        offer = nil
        idleTimeout = .seconds(1)
        maxAge = .seconds(1)
        maxPerPrincipal = 0
    }

    /// No handles.
    package static let off = HandleSettings()

    private static func words(of time: Duration) -> String {
        let seconds = time.components.seconds
        let (count, unit) =
            seconds >= 3600 && seconds % 3600 == 0
            ? (seconds / 3600, "hour")
            : seconds >= 60 && seconds % 60 == 0 ? (seconds / 60, "minute") : (seconds, "second")
        return "\(count) \(unit)\(count == 1 ? "" : "s")"
    }
}
