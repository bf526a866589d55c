import Crypto
import MCP
import Translation

/// The bytes of a request state. Each state has one encoding, and what is no encoding of one is refused: a text that was
/// sealed by another version, or with a key that leaked, decodes to nil and to nothing else.
extension RequestState {
    private static let version: UInt8 = 2

    /// Bytes of what came from the server or the client. What is longer cannot be resumed elsewhere; where it is, it goes on.
    fileprivate enum Limit {
        static let principal = 32
        static let owner = 64
        static let sessionID = 1024
        static let cookies = 4096
        static let eventID = 1024
        static let pending = 32
        /// Of a key, an id, an elicitation's id.
        static let name = 128
        /// Of all answers so far, with their keys.
        static let answers = 16_384
    }

    /// The largest encoding: all of the above. It is less than a seal takes.
    static let maxSize = 36_000

    /// Whether a resumption can have these.
    static func canHold(_ answers: [Answer]) -> Bool {
        answers.allSatisfy { $0.key.count <= Limit.name }
            && answers.reduce(0) { $0 + $1.key.count + $1.text.count + questionSize + 4 } <= Limit.answers
    }

    /// Without its resumption where that exceeds a limit.
    func encodedState() -> [UInt8] {
        // No peer can change these lengths: of two hashes, and of a name from the configuration.
        precondition(principal.count <= Limit.principal && owner.count <= Limit.owner)
        // A digest, without which no client is asked.
        precondition(request.count == SHA256.size)
        var out = FieldWriter()
        out.integer(RequestState.version)
        out.integer(UInt64(bitPattern: issued.seconds))
        out.integer(UInt64(bitPattern: expires.seconds))
        out.bytes(principal)
        out.fixed(request)
        out.fixed(call.bytes)
        out.integer(phase.rawValue)
        out.integer(round)
        out.bytes(owner)
        guard let resumption, resumption.fits else {
            out.integer(UInt8(0))
            return out.text
        }
        out.integer(UInt8(1))
        resumption.writeResumption(to: &out)
        return out.text
    }

    /// Nil unless the bytes are what ``encodedState()`` makes.
    init?(_ bytes: [UInt8]) {
        guard bytes.count <= RequestState.maxSize else { return nil }
        var reader = FieldReader(bytes)
        guard reader.integer(UInt8.self) == RequestState.version,
            let issued = reader.integer(UInt64.self), let expires = reader.integer(UInt64.self),
            let principal = reader.bytes(atMost: Limit.principal),
            let request = reader.fixed(SHA256.size),
            let call = reader.fixed(CallID.size).flatMap(CallID.init),
            let phase = reader.integer(UInt8.self).flatMap(CallPhase.init),
            let round = reader.integer(UInt16.self),
            let owner = reader.bytes(atMost: Limit.owner),
            let hasResumption = reader.integer(UInt8.self), hasResumption <= 1
        else { return nil }
        self.issued = UnixTime(seconds: Int64(bitPattern: issued))
        self.expires = UnixTime(seconds: Int64(bitPattern: expires))
        self.principal = principal
        self.request = request
        self.call = call
        self.phase = phase
        self.round = round
        self.owner = owner
        if hasResumption == 1 {
            guard let resumption = Resumption(&reader), resumption.fits else { return nil }
            self.resumption = resumption
        }
        guard reader.isAtEnd else { return nil }
    }
}

extension RequestState.Resumption {
    fileprivate typealias Limit = RequestState.Limit

    /// Whether everything is within the limits.
    fileprivate var fits: Bool {
        sessionID.count <= Limit.sessionID && cookies.count <= Limit.cookies && lastEventID.count <= Limit.eventID
            && pending.count <= Limit.pending && pending.allSatisfy(\.fits)
            && RequestState.canHold(answers)
    }

    fileprivate func writeResumption(to out: inout FieldWriter) {
        out.bytes(sessionID)
        out.bytes(cookies)
        out.bytes(Array(revision.rawValue.utf8))
        out.integer(legacyRequestID)
        out.bytes(lastEventID)
        out.integer(UInt16(pending.count))
        for question in pending { question.writePending(to: &out) }
        out.integer(UInt16(answers.count))
        for answer in answers {
            out.bytes(answer.key)
            out.bytes(answer.text)
            out.fixed(answer.question)
        }
    }

    fileprivate init?(_ reader: inout FieldReader) {
        guard let sessionID = reader.bytes(atMost: Limit.sessionID),
            let cookies = reader.bytes(atMost: Limit.cookies),
            let spelled = reader.bytes(atMost: Limit.name),
            let revision = Revision(rawValue: String(decoding: spelled, as: UTF8.self)), !revision.isModern,
            let legacyRequestID = reader.integer(UInt64.self),
            let lastEventID = reader.bytes(atMost: Limit.eventID),
            let questions = reader.integer(UInt16.self), questions <= Limit.pending
        else { return nil }
        self.sessionID = sessionID
        self.cookies = cookies
        self.revision = revision
        self.legacyRequestID = legacyRequestID
        self.lastEventID = lastEventID
        pending = []
        for _ in 0..<questions {
            guard let question = RequestState.Pending(&reader) else { return nil }
            pending.append(question)
        }
        answers = []
        guard let count = reader.integer(UInt16.self) else { return nil }
        for _ in 0..<count {
            guard let key = reader.bytes(atMost: Limit.name), let text = reader.bytes(atMost: Limit.answers),
                let question = reader.fixed(RequestState.questionSize)
            else { return nil }
            answers.append(RequestState.Answer(key: key, text: text, question: question))
        }
    }
}

extension RequestState.Pending {
    fileprivate var fits: Bool {
        key.count <= RequestState.Limit.name && legacyID.count <= RequestState.Limit.name
            && (elicitationID?.count ?? 0) <= RequestState.Limit.name
    }

    private var elicitationID: [UInt8]? {
        guard case .url(let id) = kind else { return nil }
        return id
    }

    fileprivate func writePending(to out: inout FieldWriter) {
        out.bytes(key)
        out.bytes(legacyID)
        out.fixed(question)
        switch kind {
        case .form: out.integer(UInt8(0))
        case .url(nil): out.integer(UInt8(1))
        case .url(let id?):
            out.integer(UInt8(2))
            out.bytes(id)
        case .sampling: out.integer(UInt8(3))
        case .roots: out.integer(UInt8(4))
        }
    }

    fileprivate init?(_ reader: inout FieldReader) {
        guard let key = reader.bytes(atMost: RequestState.Limit.name),
            let legacyID = reader.bytes(atMost: RequestState.Limit.name),
            let question = reader.fixed(RequestState.questionSize)
        else { return nil }
        self.question = question
        self.key = key
        self.legacyID = legacyID
        switch reader.integer(UInt8.self) {
        case 0: kind = .form
        case 1: kind = .url(elicitationID: nil)
        case 2:
            guard let id = reader.bytes(atMost: RequestState.Limit.name) else { return nil }
            kind = .url(elicitationID: id)
        case 3: kind = .sampling
        case 4: kind = .roots
        default: return nil
        }
    }
}
