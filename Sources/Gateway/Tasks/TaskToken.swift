import Crypto
import Legacy
import MCP

/// What a client carries as the id of a task, before it is sealed and after it was opened: which loop of which replica has it, until
/// when, and where its server has it.
struct TaskToken: Equatable {
    let created: UnixTime
    /// When the task is given up, whatever has become of it.
    let expires: UnixTime
    /// Tells the caller from all others, at every replica.
    let principal: [UInt8]
    let task: CallID
    /// `Replicas.owner` of the loop that made it.
    let owner: [UInt8]
    /// Where the server has it; nil where no other replica could find it.
    var place: Place?

    /// The task in a session over HTTP. Session ids and cookies are secrets: the token is encrypted.
    struct Place: Equatable {
        let sessionID: [UInt8]
        let cookies: [UInt8]
        /// The server's id of the task, in UTF-8.
        let legacyID: [UInt8]
    }

    /// Enough that no two callers have the same by chance.
    private static let principalSize = 16

    static func principal(of caller: Caller) -> [UInt8] { Array(SHA256.digest(caller.identity).prefix(principalSize)) }

    // MARK: Bytes

    private static let version: UInt8 = 1

    private enum Limit {
        static let owner = 64
        /// An id goes into a header, and a head has 16 KiB.
        static let sessionID = 512
        static let cookies = 1024
        static let legacyID = 512
    }

    /// Each token has one encoding.
    func encoded() -> [UInt8] {
        // No peer can change this length: it is a name from the configuration.
        precondition(owner.count <= Limit.owner && principal.count == TaskToken.principalSize)
        var out = FieldWriter()
        out.integer(TaskToken.version)
        out.integer(UInt64(bitPattern: created.seconds))
        out.integer(UInt64(bitPattern: expires.seconds))
        out.fixed(principal)
        out.fixed(task.bytes)
        out.bytes(owner)
        guard let place, TaskToken.fits(place) else {
            out.integer(UInt8(0))
            return out.text
        }
        out.integer(UInt8(1))
        out.bytes(place.sessionID)
        out.bytes(place.cookies)
        out.bytes(place.legacyID)
        return out.text
    }

    private static func fits(_ place: Place) -> Bool {
        (1...Limit.sessionID).contains(place.sessionID.count) && place.cookies.count <= Limit.cookies
            && (1...Limit.legacyID).contains(place.legacyID.count)
    }

    init(created: UnixTime, expires: UnixTime, principal: [UInt8], task: CallID, owner: [UInt8], place: Place?) {
        self.created = created
        self.expires = expires
        self.principal = principal
        self.task = task
        self.owner = owner
        self.place = place
    }

    /// Nil unless the bytes are what ``encoded()`` makes.
    init?(_ bytes: [UInt8]) {
        var reader = FieldReader(bytes)
        guard reader.integer(UInt8.self) == TaskToken.version,
            let created = reader.integer(UInt64.self), let expires = reader.integer(UInt64.self),
            let principal = reader.fixed(TaskToken.principalSize),
            let task = reader.fixed(CallID.size).flatMap(CallID.init(bytes:)),
            let owner = reader.bytes(atMost: Limit.owner), let hasPlace = reader.integer(UInt8.self), hasPlace <= 1
        else { return nil }
        self.init(
            created: UnixTime(seconds: Int64(bitPattern: created)),
            expires: UnixTime(seconds: Int64(bitPattern: expires)), principal: principal, task: task, owner: owner,
            place: nil)
        if hasPlace == 1 {
            guard let sessionID = reader.bytes(atMost: Limit.sessionID),
                let cookies = reader.bytes(atMost: Limit.cookies),
                let legacyID = reader.bytes(atMost: Limit.legacyID)
            else { return nil }
            let place = Place(sessionID: sessionID, cookies: cookies, legacyID: legacyID)
            guard TaskToken.fits(place) else { return nil }
            self.place = place
        }
        guard reader.isAtEnd else { return nil }
    }
}
