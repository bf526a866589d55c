import HTTPWire
import Testing

/// What a decoder made of an event stream.
struct SSETranscript: Equatable {
    var events: [SSEEvent] = []
    var lastEventID: [UInt8] = []
    var retry: Int?
    var error: SSEDecodeError?
}

func decodeEvents(_ pieces: [[UInt8]], maxEvent: Int = 1000) -> SSETranscript {
    var decoder = SSEDecoder(maxEvent: maxEvent)
    var transcript = SSETranscript()
    do {
        for piece in pieces {
            var offset = 0
            while let event = try decoder.nextEvent(piece.span, from: &offset) { transcript.events.append(event) }
            precondition(offset == piece.count, "input left behind")
        }
    } catch {
        transcript.error = error
    }
    transcript.lastEventID = decoder.lastEventID
    transcript.retry = decoder.retry
    return transcript
}

@Suite struct SSETests {
    static func event(_ data: String, type: String? = nil, id: String? = nil, retry: Int? = nil) -> SSEEvent {
        SSEEvent(type: type.map { Array($0) }, data: Array(data), id: id.map { Array($0) }, retry: retry)
    }

    @Test(arguments: [
        ("", []), ("data: a\n\n", [event("a")]), ("data: a\r\n\r\n", [event("a")]), ("data: a\r\r", [event("a")]),
        ("data: a\r\n\rdata: b\n\r\n", [event("a"), event("b")]), ("data: a\n", []), ("data: a", []),
        ("data:a\ndata:  b\ndata\n\n", [event("a\n b\n")]), ("data\n\n", [event("")]),
        ("data:\ndata\n\n", [event("\n")]),
        ("event: message\r\ndata: {}\r\n\r\n", [event("{}")]),
        ("event: endpoint\ndata: /m\n\n", [event("/m", type: "endpoint")]),
        ("event: x\nevent:\ndata: a\n\n", [event("a")]), ("event: x\n\ndata: a\n\n", [event("a")]),
        ("event: x\n\n", []), (": comment\n\n:\ndata: a\n:x\n\n", [event("a")]), ("\n\n\n", []),
        ("\u{FEFF}data: a\n\n", [event("a")]), ("\u{FEFF}\u{FEFF}data: a\n\ndata: b\n\n", [event("b")]),
        ("id: 1\ndata:\n\n", [event("", id: "1")]), ("id: 1\n\n", [event("", id: "1")]),
        ("id: 1\n\ndata: a\n\nid\n\n", [event("", id: "1"), event("a"), event("", id: "")]),
        ("id: a\0b\n\n", []), ("id: 2\nid: a\0b\ndata: a\n\n", [event("a", id: "2")]),
        ("retry: 250\n\n", []), ("retry: 250\nid: 1\n\n", [event("", id: "1", retry: 250)]),
        ("retry: +1\nretry: 2x\nretry:\nretry: 99999999999999999999\ndata: a\n\n", [event("a")]),
        ("DATA: a\ndatab: a\n data: a\ndata : a\n\n", []), ("data: a\0\u{1}\u{E9}\n\n", [event("a\0\u{1}\u{E9}")]),
        ("data: :x\n\n", [event(":x")]), ("data: \t a\n\n", [event("\t a")]),
        // Lines that say nothing, with each end, before an event, in it and behind it.
        (":\n: a\r\n\n\r\n:\r\r:b\rdata: a\n:\n:\r\n:\rdata: b\n\n\n\r\n:c\n\n", [event("a\nb")]),
        ("event: x\n:a\n\n:b\r\n\r\ndata: a\r\n:c\r\n\r\n", [event("a")]),
        ("retry: 5\n:a\n\nid: 1\n:\n\n", [event("", id: "1")]),
        (":a\r\n:b\r:c", []), (":\r\ndata: a\n\n:", [event("a")]),
    ])
    func aStreamIsTakenApart(text: String, events: [SSEEvent]) {
        let whole = decodeEvents([Array(text)])
        #expect(whole.events == events)
        #expect(whole.error == nil)
        for pieces in cuts(of: Array(text)) { #expect(decodeEvents(pieces) == whole) }
    }

    @Test func theLastEventIDOutlivesEvents() {
        let transcript = decodeEvents([Array("retry: 7\nid: 1\ndata: a\n\ndata: b\n\nid: 2\nretry: 8\n")])
        #expect(transcript.lastEventID == Array("1"))
        #expect(transcript.retry == 8)
        #expect(decodeEvents([Array("id: 1\n\nid\n\n")]).lastEventID == [])
    }

    @Test(arguments: [
        ("data: 78901234\n\n", false), ("data: 789012345\n\n", true), ("data: 789012345", true),
        ("data: 7\ndata: 7\ndata:\n\n", false), ("data: 789\ndata: 7\n\ndata: 789\ndata: 7\n\n", false),
        ("data: 78901234\ndata: 7\n\n", true), ("event: 7890\ndata: 789\n\n", false),
        ("event: 78901234\ndata: 7\n\n", true),
        ("id: 567890\nid: 56789\n\n", true), (":" + String(repeating: "x", count: 99) + "\ndata: a\n\n", false),
        ("\u{FEFF}:" + String(repeating: "x", count: 99) + "\ndata: a\n\n", false),
        ("unknown: " + String(repeating: "x", count: 99) + "\n", true),
    ])
    func anEventHasALimit(text: String, isOver: Bool) {
        let whole = decodeEvents([Array(text)], maxEvent: 14)
        #expect((whole.error == .eventTooLarge(limit: 14)) == isOver)
        for pieces in cuts(of: Array(text)) { #expect(decodeEvents(pieces, maxEvent: 14) == whole) }
    }

    @Test func anErrorIsFinal() {
        var decoder = SSEDecoder(maxEvent: 4)
        for text in ["data: abc\n", "id:1\n\n"] {
            var offset = 0
            #expect(throws: SSEDecodeError.eventTooLarge(limit: 4)) {
                try decoder.nextEvent(Array(text).span, from: &offset)
            }
        }
    }

    @Test(arguments: [
        ("", ""), ("a", "a"), ("a\nb", "a b"), ("a\r\nb\rc", "a  b c"), ("\n", " "), ("a\r", "a "),
        ("\n\r", "  "),
        (" a", " a"), (":", ":"), ("data: x\n\nid: 1", "data: x  id: 1"), ("\u{FEFF}a\0", "\u{FEFF}a\0"),
    ])
    func anEventComesBack(data: String, decoded: String) {
        let data = Array(data)
        // In one part, and cut anywhere.
        for cut in 0...data.count {
            let parts = [data[..<cut], data[cut...]]
            let output =
                SSEEncoder.event(data: parts) + [SSEEncoder.keepAlive[...]]
                + SSEEncoder.event(type: "ping", data: parts)
            #expect(
                decodeEvents([output.flatMap { Array($0) }]).events
                    == [Self.event(decoded), Self.event(decoded, type: "ping")])
        }
    }
}
