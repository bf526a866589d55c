extension Configuration {
    /// Where an operator looks at Remora: probes, metrics and the status page.
    package struct Admin: Sendable, Equatable {
        /// `nil`: there is no admin listener.
        package var address: ListenAddress?
        /// Values of `Host` that are let in, as in `Listen.allowedHosts`.
        package var allowedHosts: [String]
    }
}

extension Configuration.Admin {
    /// - Parameter listen: another listener, whose address this one's must not be.
    init(_ section: inout Section, listen: Configuration.Listen) {
        // Off: it shows how much is called and with what result, so the operator has to ask for it.
        address = section.value("address", .adminAddress, default: nil)
        if let address, address.collides(with: listen.address) {
            section.refuseValue(
                "address", "must not be that of listen.address: probes and metrics have a listener of their own")
        }
        // None named: the rule by address, as for clients.
        allowedHosts = section.listValues("allowed_hosts", of: .host, default: [])
    }
}
