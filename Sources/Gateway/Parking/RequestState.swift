import Crypto
import JSONText
import MCP
import Translation

/// What a client carries from a question to its retry: `requestState` (2026-07-28, basic/patterns/mrtr), before it is
/// sealed and after it was opened.
struct RequestState: Equatable, Sendable {
    let issued: UnixTime
    let expires: UnixTime
    /// Tells the caller from all others, at every replica; at most 32 bytes.
    let principal: [UInt8]
    /// The request that was answered with questions, as ``digest(of:)`` has it.
    let request: [UInt8]
    let call: CallID
    var phase: CallPhase
    /// How many times the client was asked, this time included.
    let round: UInt16
    /// The replica that has the call; at most 64 bytes.
    let owner: [UInt8]
    /// What another replica needs to go on with the call; nil where there is none, or where it would be too large.
    var resumption: Resumption?

    /// Other flaws are not told to the client.
    struct Invalid: Error, Equatable {}

    /// Bytes of arguments beyond which they have to be spelled in a retry as they were: to bring 7 MB into their canonical form takes
    /// 200 ms, for which all others would wait.
    private static let maxCanonical = 64 * 1024

    /// SHA-256 over what has to be the same in a retry: the method, the name or URI, and the arguments in their canonical
    /// form. One digest, because a name or a URI may be as long as a message.
    static func digest(of request: ModernRequest) -> [UInt8] {
        let document = request.document
        var text = Array("\(request.method.name)".utf8)
        if let parameter = request.method.nameParameter, let name = document.value(parameter, of: request.params) {
            text.append(0)
            document.appendCanonical(of: name, into: &text)
        }
        if let arguments = document.value("arguments", of: request.params) {
            text.append(0)
            if arguments.count > maxCanonical {
                text += document.raw(arguments)
            } else {
                document.appendCanonical(of: arguments, into: &text)
            }
        }
        return SHA256.digest(text)
    }

    /// Whether a retry may go on with it. Whatever is wrong, the error is the same.
    ///
    /// - Parameter principal: as when it was made.
    func checkRetry(_ retry: ModernRequest, from principal: [UInt8], at now: UnixTime) throws(Invalid) {
        // Every one is looked at, whatever comes of the others.
        let isInTime = now < expires
        let isTheirs = principal == self.principal
        let isSame = RequestState.digest(of: retry) == request
        guard isInTime, isTheirs, isSame else { throw Invalid() }
    }
}

extension RequestState {
    /// The session and the point in it at which a call waits. Session ids and cookies are secrets: the state is encrypted.
    struct Resumption: Equatable, Sendable {
        var sessionID: [UInt8]
        /// As they stand in `Cookie`.
        var cookies: [UInt8]
        var revision: Revision
        /// Of the call, toward the server.
        var legacyRequestID: UInt64
        var lastEventID: [UInt8]
        var pending: [Pending]
        /// What was answered so far, to be answered again by a replay.
        var answers: [Answer]
    }

    /// A question that the client has.
    struct Pending: Equatable, Sendable {
        var key: [UInt8]
        /// As the server spelled it, with its type; empty where it waits for no answer.
        var legacyID: [UInt8]
        var kind: InputRequest.Kind
        /// ``digest(of:)`` of it.
        var question = [UInt8](repeating: 0, count: questionSize)
    }

    struct Answer: Equatable, Sendable {
        var key: [UInt8]
        /// The answer, as JSON.
        var text: [UInt8]
        /// ``digest(of:)`` of what it answers.
        var question = [UInt8](repeating: 0, count: questionSize)
    }

    /// Bytes that tell the questions of one call apart.
    static let questionSize = 8

    /// Of what the client was shown: equal for a question that another run of the call asks in the same words.
    static func digest(of question: InputRequest) -> [UInt8] {
        Array(SHA256.digest(question.text).prefix(questionSize))
    }
}
