// Feeds bytes to the event stream decoder whole and in two pieces, which must give the same. Each event is then encoded
// and must come back.

/// What the decoder made of the input.
private struct Outcome: Equatable {
    var events: [SSEEvent] = []
    var lastEventID: [UInt8] = []
    var retry: Int?
    var error: SSEDecodeError?

    init(_ pieces: [ArraySlice<UInt8>], maxEvent: Int) {
        var decoder = SSEDecoder(maxEvent: maxEvent)
        do throws(SSEDecodeError) {
            for piece in pieces {
                var offset = 0
                while let event = try decoder.nextEvent(piece.span, from: &offset) { events.append(event) }
                precondition(offset == piece.count, "input left behind")
            }
        } catch {
            self.error = error
        }
        lastEventID = decoder.lastEventID
        retry = decoder.retry
    }
}

/// The first byte chooses the limit, the next two where to cut; the rest is the input.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ data: UnsafePointer<UInt8>, _ size: Int) -> CInt {
    guard size >= 3 else { return 0 }
    let input = Array(UnsafeBufferPointer(start: data, count: size))[3...]
    let maxEvent = data[0] & 1 == 1 ? 24 : 1 << 16
    let cut = 3 + (Int(data[1]) << 8 | Int(data[2])) % (input.count + 1)
    let whole = Outcome([input], maxEvent: maxEvent)
    precondition(whole == Outcome([input[..<cut], input[cut...]], maxEvent: maxEvent), "the cut changes the outcome")
    for event in whole.events {
        precondition(event.data.count <= maxEvent && !event.data.contains(0x0D), "not an event's data")
        let middle = event.data.count / 2
        let encoded = SSEEncoder.event(data: [event.data[..<middle], event.data[middle...]]).flatMap { Array($0) }
        let again = Outcome([encoded[...]], maxEvent: .max)
        precondition(
            again.events == [SSEEvent(data: event.data.map { $0 == 0x0A ? 0x20 : $0 })], "an event does not come back")
    }
    return 0
}
