extension Configuration {
    /// Where an operator looks at Remora: probes, metrics and the status page.
    package struct Admin: Sendable, Equatable {
        /// Nil: there is no such listener.
        package var endpoint: Endpoint?
        /// Values of `Host` that are let in, as in `Listen.allowedHosts`.
        package var allowedHosts: [String]

        package struct Endpoint: Sendable, Equatable {
            /// As `Listen.address`.
            package var address: String
            /// The TCP port; 0 asks the system for a free one.
            package var port: UInt16
        }
    }
}

extension Configuration.Admin {
    init(_ section: inout Section) {
        // Off: it tells who looks how much is called and how it goes, so somebody has to want it.
        endpoint = section.value("address", .adminAddress, default: nil)
        // None named: the rule by address, as for clients.
        allowedHosts = section.list("allowed_hosts", of: .host, default: [])
    }
}
