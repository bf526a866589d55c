extension Configuration {
    /// Where an operator looks at Remora: probes, metrics and the status page.
    package struct Admin: Sendable, Equatable {
        /// Nil: there is no such listener.
        package var address: ListenAddress?
        /// Values of `Host` that are let in, as in `Listen.allowedHosts`.
        package var allowedHosts: [String]
    }
}

extension Configuration.Admin {
    init(_ section: inout Section) {
        // Off: it tells who looks how much is called and how it goes, so somebody has to want it.
        address = section.value("address", .adminAddress, default: nil)
        // None named: the rule by address, as for clients.
        allowedHosts = section.list("allowed_hosts", of: .host, default: [])
    }
}
