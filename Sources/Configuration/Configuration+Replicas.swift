import Crypto

extension Configuration {
    /// Other Remoras that serve the same clients, and what they have in common.
    package struct Replicas: Sendable, Equatable {
        /// The keys of the ring, the one that seals first; each has 32 bytes. Empty: this process makes one of its own,
        /// and what it seals ends with it.
        package var keys: [[UInt8]]
        /// Nil: this one is alone.
        package var group: Group?

        package struct Group: Sendable, Equatable {
            /// What the others call this one: letters, digits, `-`, `_` and `.`, at most 32 bytes.
            package var id: String
            /// Where it listens for them: the host as in `ListenAddress`.
            package var address: String
            /// The TCP port; 0 asks the system for a free one.
            package var port: UInt16
            /// Where the others reach it, as they read it in the store; nil for the address and port where it listens.
            package var advertised: Peer?
            /// The others, in the order of their ids; may be empty where there is a store.
            package var peers: [Peer]
            /// Whether they tell each other what a server told one of them.
            package var sharesChangeNotices: Bool
        }

        package struct Peer: Sendable, Equatable {
            package var id: String
            /// A host name, or a numeric address; an IPv6 address without its brackets.
            package var host: String
            package var port: UInt16
        }
    }

    private enum Cues: String, Sendable, CaseIterable {
        case on, off
    }
}

extension Configuration.Replicas {
    /// Each retry may ask each of them in turn.
    private static let maxPeers = 64

    /// - Parameters:
    ///   - listen: another listener, whose address this one's must not be.
    ///   - admin: the same.
    ///   - store: whether there is one, in which they find each other.
    ///   - sharesSessions: whether they have sessions in common.
    init(
        _ section: inout Section, listen: Configuration.Listen, admin: Configuration.Admin,
        store: Configuration.Store.Presence, sharesSessions: Bool
    ) {
        // Off: alone, as a sidecar is until the operator says otherwise.
        let id = section.value("id", .replicaID, default: nil)
        // Off: every holder of the keys may continue a call there, so the operator has to ask for it.
        let endpoint = section.value("address", .adminAddress, default: nil)
        // Auto: most machines have the address under which others reach them.
        let advertised = section.value("advertise", .advertisedURL, default: nil)
        // None: by name and not by what they say of themselves, so that nothing that a client carries leads anywhere.
        let entries = section.mappingEntries("peers", of: .replicaName, to: .peerURL)
        // None: a key of this process alone.
        keys = section.listValues("keys", of: .keyFile, default: [], whole: Self.checkKeys)
        // On: a change notice that comes twice does no harm, and one that is missed leaves a client with an old list.
        let sharesChangeNotices = section.value("cues", .choice, default: Configuration.Cues.on) == .on
        // One file may do for all: this one's own entry says nothing to it.
        let peers = entries.filter { $0.name != id }
            .map { Peer(id: $0.name, host: $0.value.host, port: $0.value.port) }.sorted { $0.id < $1.id }
        if section.isFaultless, sharesSessions, !sharesChangeNotices {
            section.refuseValue(
                "cues", "must be on with sessions.shared: one replica listens to a session, and tells the others")
        }
        guard section.isFaultless else { return }
        let knowsOthers = store != .none || !peers.isEmpty
        guard let id, let endpoint, knowsOthers, !keys.isEmpty else {
            // Keys may be given alone; of the rest, one calls for the others.
            if id != nil || endpoint != nil || !entries.isEmpty || store == .given {
                Self.reportMissing(section, id, endpoint, knowsOthers, keys)
            }
            return
        }
        guard case .tcp(let host, let port) = endpoint else {
            section.refuseValue("address", "must be HOST:PORT: other replicas reach no socket of this machine")
            return
        }
        Self.checkGroup(section, peers, endpoint, listen, admin)
        if store == .given, advertised == nil, host == "0.0.0.0" || host == "::" {
            section.refuseValue(
                "advertise",
                "is missing: replicas.address is no address that others can reach; add one, such as "
                    + "`advertise: http://${POD_IP}:8809`")
        }
        group = Group(
            id: id, address: host, port: port,
            advertised: advertised.map { Peer(id: id, host: $0.host, port: $0.port) },
            peers: peers, sharesChangeNotices: sharesChangeNotices)
    }

    private static func reportMissing(
        _ section: Section, _ id: String?, _ endpoint: ListenAddress?, _ knowsOthers: Bool,
        _ keys: [[UInt8]]
    ) {
        if id == nil { section.refuseValue("id", "is missing: add the name of this replica, such as `id: a`") }
        if endpoint == nil {
            section.refuseValue(
                "address", "is missing: add where the others reach it, such as `address: 10.0.0.5:8809`")
        }
        if !knowsOthers {
            section.refuseValue("peers", "must name another replica, such as `peers: {b: http://10.0.0.6:8809}`")
        }
        if keys.isEmpty {
            section.refuseValue(
                "keys",
                "is missing: add a file that all replicas have, such as `keys: [/etc/remora/seal.key]`; remora keygen "
                    + "makes it")
        }
    }

    private static func checkGroup(
        _ section: Section, _ peers: [Peer], _ endpoint: ListenAddress,
        _ listen: Configuration.Listen, _ admin: Configuration.Admin
    ) {
        if peers.count > maxPeers { section.refuseValue("peers", "must have at most \(maxPeers) replicas") }
        for (index, peer) in peers.enumerated() {
            guard let twin = peers[..<index].first(where: { $0.host == peer.host && $0.port == peer.port }) else {
                continue
            }
            section.refuseValue(
                "peers", "must have a URL of its own for each replica: \(twin.id) and \(peer.id) have the same")
        }
        if endpoint.collides(with: listen.address) {
            section.refuseValue("address", "must not be that of listen.address: replicas have a listener of their own")
        }
        if let admin = admin.address, endpoint.collides(with: admin) {
            section.refuseValue("address", "must not be that of admin.address: replicas have a listener of their own")
        }
    }

    private static func checkKeys(_ keys: [[UInt8]]) throws(FormatError) {
        guard keys.count <= KeyRing.maxKeys else {
            throw FormatError("must have at most \(KeyRing.maxKeys) files: take away those whose time is over")
        }
        guard Set(keys).count == keys.count else { throw FormatError("must have each key once") }
    }
}

extension Format where Value == String {
    /// What a replica is called by the others.
    static var replicaName: Format {
        Format(.pattern("^[A-Za-z0-9_.-]{1,32}$", orWord: true)) { text throws(FormatError) in
            guard (1...32).contains(text.utf8.count),
                text.utf8.allSatisfy({ $0.isAlphanumeric || "-_.".utf8.contains($0) }), text != "off"
            else { throw FormatError("must be 1 to 32 letters, digits, -, _ or .") }
            return text
        }
    }
}

extension Format where Value == String? {
    /// `off`, or the name of this replica.
    static var replicaID: Format {
        Format(Format<String>.replicaName.shape.orWords("off")) { text throws(FormatError) in
            if text == "off" { return nil }
            do throws(FormatError) {
                return try Format<String>.replicaName.parse(text)
            } catch {
                throw FormatError("must be off, or 1 to 32 letters, digits, -, _ or .")
            }
        }
    }
}

extension Format where Value == (host: String, port: UInt16) {
    /// The URL of another replica's listener, which has no path.
    static var peerURL: Format {
        Format(.pattern("^http://[^/?#@]+:[0-9]+/?$")) { text throws(FormatError) in
            guard let (scheme, rest) = text.splitScheme(), scheme == "http",
                let authority = Authority(rest.hasSuffix("/") ? rest.dropLast() : rest), let port = authority.port,
                port != 0
            else {
                throw FormatError("must be the replicas.address of the other, as http://HOST:PORT")
            }
            return (authority.host, port)
        }
    }
}

extension Format where Value == (host: String, port: UInt16)? {
    /// `auto`, or what ``peerURL`` takes.
    static var advertisedURL: Format {
        Format(Format<(host: String, port: UInt16)>.peerURL.shape.orWords("auto")) { text throws(FormatError) in
            if text == "auto" { return nil }
            do throws(FormatError) {
                return try Format<(host: String, port: UInt16)>.peerURL.parse(text)
            } catch {
                throw FormatError("must be auto, or where the others reach this one, as http://HOST:PORT")
            }
        }
    }
}
