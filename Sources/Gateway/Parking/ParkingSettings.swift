/// How calls are parked that wait for their clients.
package struct ParkingSettings: Sendable {
    /// How long a client may take to come back.
    package var parkTimeout: Duration
    /// How many calls may be parked on this loop.
    package var maxParked: Int
    /// How many of them one principal may have.
    package var maxParkedPerPrincipal: Int

    package init(parkTimeout: Duration, maxParked: Int, maxParkedPerPrincipal: Int) {
        self.parkTimeout = parkTimeout
        self.maxParked = maxParked
        self.maxParkedPerPrincipal = maxParkedPerPrincipal
    }
}
