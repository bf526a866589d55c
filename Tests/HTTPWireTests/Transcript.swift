import TestSupport
import HTTPWire

/// What a decoder made of a byte stream, independent of how the stream was cut: bodies are joined.
struct Transcript<Head: Sendable & Equatable>: Equatable {
    struct Message: Equatable {
        var head: Head
        var body: [UInt8] = []
        var isComplete = false
    }

    var messages: [Message] = []
    var error: HTTPDecodeError.Reason?
    /// How the end of the connection was taken; responses only.
    var close: HTTPResponseDecoder.Close?

    mutating func note(_ event: HTTPEvent<Head>, in input: [UInt8]) {
        switch event {
        case .needMoreInput: break
        case .head(let head): messages.append(Message(head: head))
        case .body(let range): messages[messages.count - 1].body += input[range]
        case .end: messages[messages.count - 1].isComplete = true
        }
    }
}

func decodeRequests(
    _ pieces: [[UInt8]], limits: HTTPLimits = HTTPLimits()
) -> Transcript<HTTPRequestHead> {
    var decoder = HTTPRequestDecoder(limits: limits)
    var transcript = Transcript<HTTPRequestHead>()
    do {
        for piece in pieces {
            var offset = 0
            while true {
                let event = try decoder.nextEvent(piece.span, from: &offset)
                transcript.note(event, in: piece)
                if case .needMoreInput = event { break }
            }
            precondition(offset == piece.count, "input left behind")
        }
    } catch {
        transcript.error = error.reason
    }
    return transcript
}

func decodeResponses(
    _ pieces: [[UInt8]], limits: HTTPLimits = HTTPLimits()
) -> Transcript<HTTPResponseHead> {
    var decoder = HTTPResponseDecoder(limits: limits)
    var transcript = Transcript<HTTPResponseHead>()
    do {
        for piece in pieces {
            var offset = 0
            while true {
                let event = try decoder.nextEvent(piece.span, from: &offset)
                transcript.note(event, in: piece)
                if case .needMoreInput = event { break }
            }
            precondition(offset == piece.count, "input left behind")
        }
        transcript.close = try decoder.finishInput()
        if transcript.close == .message { transcript.messages[transcript.messages.count - 1].isComplete = true }
    } catch {
        transcript.error = error.reason
    }
    return transcript
}

/// The same bytes cut in every way that finds bugs: whole, byte by byte, in two at every place, and at random.
func cuts(of bytes: [UInt8], random: Int = 50) -> [[[UInt8]]] {
    var all = [[bytes], bytes.map { [$0] }]
    for place in 1..<max(bytes.count, 1) { all.append([Array(bytes[..<place]), Array(bytes[place...])]) }
    var generator = SplitMix(state: 0x5EED)
    for _ in 0..<random {
        var pieces: [[UInt8]] = []
        var rest = bytes[...]
        while !rest.isEmpty {
            let piece = rest.prefix(Int.random(in: 0...12, using: &generator))
            pieces.append(Array(piece))
            rest = rest.dropFirst(piece.count)
        }
        all.append(pieces)
    }
    return all
}

extension [UInt8] {
    init(_ text: String) { self.init(text.utf8) }
}
