import Admin
import Configuration
import Gateway
import Reactor
import Telemetry

/// Reading the configuration anew (SIGHUP). What can fail comes first; where it fails, everything stays as it is.
extension Server {
    /// Reads the configuration file, and takes over what it says. However often it is asked meanwhile, it then reads once
    /// more.
    package func reloadConfiguration() {
        guard !isDraining else { return }
        isReloadDue = true
        guard !isReloading else { return }
        isReloading = true
        main.spawn {
            while self.isReloadDue, !self.isDraining {
                self.isReloadDue = false
                await self.reloadOnce()
            }
            self.isReloading = false
        }
    }

    private func reloadOnce() async {
        guard case .file(let path) = source else {
            return reloadFailed(["Remora was started without a configuration file: there is nothing to read anew"])
        }
        // Clients are served on this loop: nothing may hold it up.
        switch Configuration.loadConfiguration(path: path, mayWait: false) {
        case .failure(let errors): reloadFailed(errors.lines)
        case .success(let configuration): await applyConfiguration(configuration)
        }
    }

    private func applyConfiguration(_ new: Configuration) async {
        let old = wiring.configuration
        var new = new
        if workers.count > 1, new.backend.callsAtOnce != nil {
            return reloadFailed(["backends[0].calls_at_once needs threads: 1, which takes a restart"])
        }
        keepUnchanged(\.threads, "threads", of: old, in: &new)
        if new.replicas.group != old.replicas.group { keepUnchanged(\.replicas, "replicas", of: old, in: &new) }
        keepUnchanged(\.store, "store", of: old, in: &new)
        keepUnchanged(\.sessions.shared, "sessions.shared", of: old, in: &new)
        if new.listen.address == old.listen.address {
            keepUnchanged(\.listen.socketMode, "listen.socket_mode", of: old, in: &new)
        }
        let wiring = Wiring(new, secrets: secrets, log: log)
        let addresses = Addresses(from: old, to: new)
        do throws(SystemError) {
            try await prepareListeners(wiring, addresses)
        } catch {
            for worker in workers { await worker.forgetPrepared() }
            return reloadFailed([Server.listenAdvice(error, "listen", new.listen.address)])
        }
        let adminListener: Listener?
        do throws(SystemError) {
            adminListener = try addresses.adminMoves ? wiring.adminAddress.map(admin.makeListener) : nil
        } catch {
            for worker in workers { await worker.forgetPrepared() }
            // Only to listen there can fail.
            guard let address = new.admin.address else { preconditionFailure("a listener that is off") }
            return reloadFailed([Server.listenAdvice(error, "admin", address)])
        }
        // Nothing can fail from here on.
        secrets.useConfiguration(new)
        let plan = wiring.servicePlan(workers: workers.count, replacing: old)
        for worker in workers { await worker.applyPlan(plan) }
        admin.settings = wiring.adminSettings
        if addresses.adminMoves { admin.useListener(adminListener) }
        self.wiring = wiring
        reloads.noteSuccess(at: ProcessNumbers.wallClock())
        admin.reloads = reloads
        log.write(.info, "reloaded") { $0.field("count", reloads.succeeded) }
        log.applySettings(level: new.log.logLevel, format: new.log.lineFormat)
    }

    /// Which listeners have to be opened anew. A port 0 that stays is the port that the system gave.
    private struct Addresses {
        let listenMoves: Bool
        let adminMoves: Bool

        init(from old: Configuration, to new: Configuration) {
            listenMoves = old.listen.address != new.listen.address
            adminMoves = old.admin.address != new.admin.address
        }
    }

    private func prepareListeners(_ wiring: Wiring, _ addresses: Addresses) async throws(SystemError) {
        guard addresses.listenMoves else { return }
        var place = try wiring.listenPlace(loops: workers.count, first: main)
        for (number, worker) in workers.enumerated() {
            let (address, next) = try await worker.prepareListener(place, andNext: number + 1 < workers.count)
            if let next {
                place = next
            } else {
                log.write(.info, "listening") { line in
                    line.field("address", "\(address)")
                    line.field("path", wiring.configuration.listen.path)
                }
            }
        }
    }

    /// Leaves a value as it was, which cannot be changed without a restart, and says so.
    private func keepUnchanged<Value: Equatable>(
        _ key: WritableKeyPath<Configuration, Value>, _ name: StaticString, of old: Configuration,
        in new: inout Configuration
    ) {
        guard new[keyPath: key] != old[keyPath: key] else { return }
        new[keyPath: key] = old[keyPath: key]
        log.write(.warning, "needs_restart") { line in
            line.field("key", name)
            line.field("detail", "it stays as it is until Remora is started anew")
        }
    }

    private func reloadFailed(_ reasons: [String]) {
        for reason in reasons { log.write(.error, "reload_failed") { $0.field("detail", reason) } }
        reloads.noteFailure(at: ProcessNumbers.wallClock(), reasons)
        admin.reloads = reloads
    }
}
