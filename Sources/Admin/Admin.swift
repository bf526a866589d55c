package import Reactor

/// The door through which other threads reach the admin listener.
package actor Admin {
    nonisolated private let loop: Loop
    private let service: AdminService

    package nonisolated var unownedExecutor: UnownedSerialExecutor { loop.asUnownedSerialExecutor() }

    package init(_ service: sending AdminService, on loop: Loop) {
        self.service = service
        self.loop = loop
    }

    package func start() { service.begin() }

    /// See `AdminService.drain`.
    package func drain() { service.drain() }

    package func close() { service.close() }
}
