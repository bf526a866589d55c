import Crypto
import HTTPWire
import Legacy

/// Who sends a request, as far as the headers and the client's certificate tell.
///
/// A class: it never changes and is handed around a lot.
final class Caller: Sendable {
    /// Equal for requests of one caller, different for those of two.
    let principal: KeyedHash
    /// The same for all of a caller's requests, and at every replica. It is a secret, as what it is made of.
    let identity: [UInt8]
    /// What goes to the backend with the call.
    let credentials: Credentials
    /// The credentials, and the header fields that belong to this call alone.
    let callFields: Credentials

    init(principal: KeyedHash, identity: [UInt8], credentials: Credentials, callFields: Credentials) {
        self.principal = principal
        self.identity = identity
        self.credentials = credentials
        self.callFields = callFields
    }
}

/// What of a request says who its caller is, and what of that goes to the server.
package struct CallerFields: Sendable {
    /// Names in lower case (`sessions.isolate_by`).
    package let isolateBy: [String]
    /// Names of further ones, in lower case (`backends[].headers.forward`). They tell callers apart, too: any of them may be
    /// a credential.
    package let forwarded: [String]
    /// Names of those that the server gets from elsewhere, and never from the client.
    package let replaced: Set<String>
    /// What the server is told of where a request came from. It tells no callers apart.
    package let origin: OriginFields

    package init(
        isolateBy: [String], forwarded: [String] = [], replaced: Set<String> = [], origin: OriginFields = .none
    ) {
        self.isolateBy = isolateBy
        self.forwarded = forwarded.filter { !isolateBy.contains($0) }
        self.replaced = replaced.union(origin.names)
        self.origin = origin
    }

    /// Those that reach the server from the client.
    var passed: [String] { (isolateBy + forwarded).filter { !replaced.contains($0) } }
}

/// Tells callers apart by the configured header fields, and by the client's certificate (`sessions.isolate_by`).
final class CallerRules {
    /// Principals that are remembered; all are forgotten when there are more. To hash credentials again costs as much as
    /// half of what else a call does.
    private static let maxKnown = 1024
    /// Longer credentials are hashed each time: what is remembered must stay small.
    private static let maxRemembered = 4096

    private struct Field {
        let name: [UInt8]
        /// Stands before its values in what is hashed, so that those of two fields never read alike.
        let mark: [UInt8]
        let isForwarded: Bool
    }

    private let fields: [Field]
    private let origin: OriginFields
    private let byCertificate: Bool
    private let key: HashKey
    private var known: [[UInt8]: KeyedHash] = [:]
    /// Of a request that says nothing of its caller.
    private let nobody = Caller(principal: .none, identity: [], credentials: .none, callFields: .none)
    /// The other way round.
    private var identities: [KeyedHash: [UInt8]] = [.none: []]
    /// How often what is known has changed.
    private(set) var version = 0

    /// - Parameter byCertificate: whether the subject of a client's certificate tells it apart, too.
    init(_ fields: CallerFields, byCertificate: Bool = false, key: HashKey) {
        func field(_ name: String, _ mark: String) -> Field {
            Field(name: Array(name.utf8), mark: Array(mark.utf8), isForwarded: !fields.replaced.contains(name))
        }
        self.fields =
            fields.isolateBy.enumerated().map { field($1, "\($0):") }
            // By name: another reload or replica may have them in another order, beside others.
            + fields.forwarded.map { field($0, "\($0) ") }
        origin = fields.origin
        self.byCertificate = byCertificate
        self.key = key
    }

    /// Whether others have the same hashes, each for the same requests.
    func tellsCallersApart(as others: CallerRules) -> Bool {
        fields.map(\.mark) == others.fields.map(\.mark) && fields.map(\.name) == others.fields.map(\.name)
            && byCertificate == others.byCertificate
    }

    /// What goes to the backend with a request.
    func requestCredentials(of head: HTTPRequestHead) -> Credentials {
        Credentials(lines: fields.filter(\.isForwarded).flatMap { head.fields.lines(named: $0.name) })
    }

    /// - Parameters:
    ///   - subject: of the certificate that the connection was made with, which was verified; nil where there is none.
    ///   - client: its address in digits; nil where it has none. It is asked for only where the server is told.
    func identifyCaller(
        of head: HTTPRequestHead, subject: [UInt8]?, client: @autoclosure () -> String? = nil
    ) -> Caller {
        var lines: [HTTPFields.FieldLine] = []
        var secret: [UInt8] = []
        for field in fields {
            for line in head.fields.lines(named: field.name) {
                if field.isForwarded { lines.append(line) }
                // The mark and the value's length keep apart what would else read alike.
                secret.append(contentsOf: field.mark)
                secret.append(contentsOf: "\(line.value.bytes.count):".utf8)
                secret.append(contentsOf: line.value.bytes)
            }
        }
        if byCertificate, let subject {
            secret.append(contentsOf: "certificate:\(subject.count):".utf8)
            secret.append(contentsOf: subject)
        }
        // Intermediaries forward parameter headers that they do not know (basic/transports/streamable-http, "Server Behavior for
        // Custom Headers"), but no legacy server is known to use them.
        let parameters = head.fields.lines(startingWith: CallerRules.parameterPrefix)
        if secret.isEmpty, parameters.isEmpty, origin.isEmpty { return nobody }
        let principal = secret.isEmpty ? KeyedHash.none : hashedPrincipal(secret)
        let origin = origin.isEmpty ? [] : origin.fieldLines(of: head, from: client())
        let credentials = lines.isEmpty && origin.isEmpty ? Credentials.none : Credentials(lines: lines, origin: origin)
        return Caller(
            principal: principal, identity: secret, credentials: credentials,
            callFields: parameters.isEmpty ? credentials : Credentials(lines: lines + parameters, origin: origin))
    }

    /// Names of the fields that look like credentials, and do not go on to the server: four at most, in lower case.
    func droppedFields(from head: HTTPRequestHead) -> [String] {
        var names: [String] = []
        for (name, _) in head.fields.all() where names.count < 4 {
            guard name.bytes.count <= 64, !fields.contains(where: { name.equalsIgnoringCase($0.name) }) else {
                continue
            }
            let text = name.string.lowercased()
            if !names.contains(text), CallerRules.signsOfCredentials.contains(where: { text.contains($0) }) {
                names.append(text)
            }
        }
        return names
    }

    /// `Proxy-Authorization` is none: it is for a proxy.
    private static let signsOfCredentials = [
        "key", "token", "secret", "password", "credential", "cookie", "session", "tenant", "x-auth",
    ]

    private func hashedPrincipal(_ secret: [UInt8]) -> KeyedHash {
        if let known = known[secret] { return known }
        let principal = key.hash(secret)
        guard secret.count <= CallerRules.maxRemembered else { return principal }
        if known.count >= CallerRules.maxKnown { (known, identities) = ([:], [.none: []]) }
        known[secret] = principal
        identities[principal] = secret
        version += 1
        return principal
    }

    /// What an identity is made of: those of two replicas compare where this is the same.
    var identityScheme: [UInt8] {
        fields.map { $0.mark + $0.name }.joined(separator: [0]) + [byCertificate ? 1 : 0]
    }

    /// ``Caller/identity`` of a caller; nil where it is not remembered.
    func callerIdentity(of principal: KeyedHash) -> [UInt8]? { identities[principal] }

    /// Every caller that is remembered.
    var remembered: some Collection<(key: KeyedHash, value: [UInt8])> { identities }

    private static let parameterPrefix = Array("mcp-param-".utf8)
}
