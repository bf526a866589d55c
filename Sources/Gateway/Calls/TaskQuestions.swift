import JSONText
import MCP
import Translation

/// The questions of one task: the part without I/O. A key means one question for ever, and each question is answered once.
struct TaskQuestions {
    typealias Question = (key: String, request: InputRequest)

    /// As for a parked call.
    private static let maxOpen = 32
    private static let maxBytes = 4 << 20

    /// What the client that has the task can be asked.
    private let declared: InputCapabilities
    private(set) var open: [Question] = []
    private var keys: InputKeys
    private var settled: SettledQuestions
    /// What the client would have had to declare for the questions that were refused.
    private(set) var refused: InputCapabilities

    /// - Parameters:
    ///   - keys: of questions of the call that became the task.
    ///   - settled: those of them that need no answer any more.
    ///   - refused: what the client of that call would have had to declare for those that were refused.
    init(
        declared: InputCapabilities, keys: InputKeys = InputKeys(), settled: SettledQuestions = SettledQuestions(),
        refused: InputCapabilities = .none
    ) {
        self.declared = declared
        self.keys = keys
        self.settled = settled
        self.refused = refused
    }

    /// The server asks. Returns what it gets at once, where its client is not asked.
    ///
    /// - Parameter resumptions: how often streams of the session have been taken up again: what came before may have come once more.
    mutating func addQuestion(_ message: Envelope, resumptions: Int) -> [UInt8]? {
        guard case .request(let id, _) = message.kind else { return nil }
        let legacyID = Array(message.document.raw(id))
        if let same = open.firstIndex(where: { $0.request.legacyID == legacyID }) {
            if open[same].request.isSame(as: message) { return nil }
            // An answer would be to the later one alone.
            settled.insertQuestion(open.remove(at: same).request)
        }
        if settled.containsMessage(message, id: legacyID, resumptions: resumptions) { return nil }
        do throws(RefusedInput) {
            var question = try InputRequest(message, declared: declared)
            question.resumptions = resumptions
            let bytes = open.reduce(question.text.count) { $0 + $1.request.text.count }
            guard open.count < TaskQuestions.maxOpen, settled.count + open.count < SettledQuestions.maxCount,
                bytes <= TaskQuestions.maxBytes
            else { throw .tooMany(question) }
            open.append((keys.freeKey(for: question), question))
            return nil
        } catch {
            settled.insertMessage(message, id: legacyID, resumptions: resumptions)
            refused.formUnion(error.missing)
            return error.reply
        }
    }

    /// The server asks on a session on which no client can be asked.
    mutating func noteRefusal(of message: Envelope) {
        do throws(RefusedInput) {
            _ = try InputRequest(message, declared: declared)
        } catch {
            refused.formUnion(error.missing)
        }
    }

    /// The server takes a question back. Returns whether it was one of these.
    mutating func withdrawQuestion(_ legacyID: [UInt8]) -> Bool {
        guard let index = open.firstIndex(where: { $0.request.legacyID == legacyID }) else { return false }
        settled.insertQuestion(open.remove(at: index).request)
        return true
    }

    /// Takes the answers to questions that are open. Keys that mean nothing any more are ignored.
    ///
    /// - Returns: what the server gets.
    /// - Throws: for one of the wrong shape. Nothing has changed then.
    mutating func takeAnswers(by responses: InputResponses, in revision: Revision) throws(InputFlaw) -> [[UInt8]] {
        var replies: [[UInt8]] = []
        var answered: [String] = []
        for question in open {
            guard let answer = try responses.inputAnswer(question.key, to: question.request, in: revision) else {
                continue
            }
            answered.append(question.key)
            if let reply = answer.reply { replies.append(reply) }
        }
        for key in answered {
            guard let index = open.firstIndex(where: { $0.key == key }) else { continue }
            settled.insertQuestion(open.remove(at: index).request)
        }
        return replies
    }

    /// Ends the questions that are open: no client answers them any more. Returns what the server gets.
    mutating func closeQuestions() -> [[UInt8]] {
        let leftovers = open.compactMap(\.request.leftover)
        for question in open { settled.insertQuestion(question.request) }
        open = []
        return leftovers
    }

    /// What a client has to declare to be shown them.
    var needs: InputCapabilities { open.reduce(into: .none) { $0.formUnion($1.request.needs) } }
}
