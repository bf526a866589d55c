import Crypto
import HTTPWire
import Legacy

/// Who sends a request, as far as the headers and the client's certificate tell.
struct Caller {
    /// Equal for requests of one caller, different for those of two.
    let principal: KeyedHash
    /// The same for all of a caller's requests, and at every replica. It is a secret, as what it is made of.
    let identity: [UInt8]
    /// What goes to the backend with the call.
    let credentials: Credentials
    /// The credentials, and the header fields that belong to this call alone.
    let callFields: Credentials
}

/// Tells callers apart by the configured header fields, and by the client's certificate (`sessions.isolate_by`).
final class CallerRules {
    /// Principals that are remembered; all are forgotten when there are more. To hash credentials again costs as much as
    /// half of what else a call does.
    private static let maxKnown = 1024
    /// Longer credentials are hashed each time: what is remembered must stay small.
    private static let maxRemembered = 4096

    private let names: [[UInt8]]
    private let byCertificate: Bool
    private let key: HashKey
    private var known: [[UInt8]: KeyedHash] = [:]
    /// The other way round.
    private var identities: [KeyedHash: [UInt8]] = [.none: []]
    /// How often what is known has changed.
    private(set) var version = 0

    /// - Parameter byCertificate: whether the subject of a client's certificate tells it apart, too.
    init(isolateBy names: [String], byCertificate: Bool = false, key: HashKey) {
        self.names = names.map { Array($0.utf8) }
        self.byCertificate = byCertificate
        self.key = key
    }

    /// What goes to the backend with a request.
    func credentials(of head: HTTPRequestHead) -> Credentials {
        Credentials(lines: names.flatMap { head.fields.lines(named: $0) })
    }

    /// - Parameter subject: of the certificate that the connection was made with, which was verified; nil where there is
    ///   none.
    func caller(of head: HTTPRequestHead, subject: [UInt8]?) -> Caller {
        var lines: [HTTPFields.FieldLine] = []
        var secret: [UInt8] = []
        for (index, name) in names.enumerated() {
            for line in head.fields.lines(named: name) {
                lines.append(line)
                // The field's number and the value's length keep apart what would else read alike.
                secret.append(contentsOf: "\(index):\(line.value.bytes.count):".utf8)
                secret.append(contentsOf: line.value.bytes)
            }
        }
        if byCertificate, let subject {
            secret.append(contentsOf: "certificate:\(subject.count):".utf8)
            secret.append(contentsOf: subject)
        }
        let principal = secret.isEmpty ? KeyedHash.none : principal(secret)
        let credentials = Credentials(lines: lines)
        // Whoever does not recognise such a header must pass it on (basic/transports/streamable-http, "Server Behavior
        // for Custom Headers"), and no legacy server is known to.
        let parameters = head.fields.lines(startingWith: CallerRules.parameterPrefix)
        return Caller(
            principal: principal, identity: secret, credentials: credentials,
            callFields: parameters.isEmpty ? credentials : Credentials(lines: lines + parameters))
    }

    private func principal(_ secret: [UInt8]) -> KeyedHash {
        if let known = known[secret] { return known }
        let principal = key.hash(secret)
        guard secret.count <= CallerRules.maxRemembered else { return principal }
        if known.count >= CallerRules.maxKnown { (known, identities) = ([:], [.none: []]) }
        known[secret] = principal
        identities[principal] = secret
        version += 1
        return principal
    }

    /// ``Caller/identity`` of a caller; nil where it is not remembered.
    func identity(of principal: KeyedHash) -> [UInt8]? { identities[principal] }

    /// Every caller that is remembered.
    var remembered: some Collection<(key: KeyedHash, value: [UInt8])> { identities }

    private static let parameterPrefix = Array("mcp-param-".utf8)
}
