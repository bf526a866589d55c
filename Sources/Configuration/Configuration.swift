/// Everything an operator can set, read from one YAML file and checked: a value of this type need not be checked again.
///
/// Each section is a file `Configuration+Section.swift` whose initialiser is a table: a line a key, with its format, range and
/// default, and the reason above it. A key is added by a property and a line of the table, then by an entry in
/// `conf/remora.full.yaml` and in `docs/configuration.md`; a test tells when one of those is forgotten.
package struct Configuration: Sendable, Equatable {
    /// How many event loops run, each on a thread of its own: 1 to 64.
    package var threads: Int
    package var listen: Listen
    /// The copies of the server: 1 to 64. What is no matter of a single one is equal in all.
    package var backends: [Backend]
    /// The first, for what is equal in all.
    package var backend: Backend { backends[0] }
    /// Clients of whom something else is declared than of the others: 64 at most.
    package var clients: [Client]
    package var sessions: Sessions
    package var interaction: Interaction
    package var tasks: Tasks
    package var cache: Cache
    package var limits: Limits
    package var admin: Admin
    /// Nil: there is none.
    package var store: Store?
    package var replicas: Replicas
    package var log: Log
}

extension Configuration {
    /// Reads the whole document. Nil when the backend is missing or faulty; every other fault leaves a default in its
    /// place, so that reading goes on and all faults are reported at once.
    init?(_ section: inout Section) {
        // One: a sidecar waits for one backend, and one loop saturates most of them. Above 64, more loops than any
        // machine a sidecar is put on has cores for.
        threads = section.value("threads", .integer(1...64), default: 1)
        listen = section.readNested("listen") { Listen(&$0) }
        // 64: each of them is a series in the metrics, and a line on the status page.
        var others: [Backend] = []
        let threads = threads
        let entries = section.readNestedList(
            "backends", atMost: 64, example: "backends: [{url: http://127.0.0.1:9000/mcp}]"
        ) { section in
            let backend = Backend(&section, beside: others, threads: threads)
            if let backend { others.append(backend) }
            return backend
        }
        let standard = others.first?.client
        // 64: each is one more name to compare a client's with.
        clients = section.readNestedList("clients", atMost: 64, example: nil) { Client(&$0, like: standard) }
            .compactMap(
                \.self)
        Client.checkClients(clients, section)
        let listening = listen
        let backend = others.first
        sessions = section.readNested("sessions") { Sessions(&$0, listen: listening, backend: backend) }
        interaction = section.readNested("interaction") { Interaction(&$0) }
        tasks = section.readNested("tasks") { Tasks(&$0) }
        cache = section.readNested("cache") { Cache(&$0) }
        limits = section.readNested("limits") { Limits(&$0) }
        admin = section.readNested("admin") { Admin(&$0, listen: listening) }
        let (listen, admin, sharesSessions) = (listen, admin, sessions.shared == .store)
        let presence: Store.Presence
        (store, presence) = section.readNested("store") { section in
            let store = Store.readSection(&section, isNeeded: sharesSessions)
            return (store, store != nil ? .given : section.isFaultless ? .none : .faulty)
        }
        replicas = section.readNested("replicas") {
            Replicas(&$0, listen: listen, admin: admin, store: presence, sharesSessions: sharesSessions)
        }
        log = section.readNested("log") { Log(&$0) }
        guard !entries.isEmpty, others.count == entries.count else { return nil }
        backends = others
    }
}
