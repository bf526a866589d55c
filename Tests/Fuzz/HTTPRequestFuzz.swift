// Feeds bytes to the request decoder whole and in two pieces. Both must give the same, and what is accepted must keep
// the promises that are made about it.

/// What the decoder made of the input. Bodies are joined, because the pieces decide where they are cut.
private struct Outcome: Equatable {
    var heads: [HTTPRequestHead] = []
    var bodies: [UInt8] = []
    var ends = 0
    var error: HTTPDecodeError?
    var isIdle = false

    init(_ pieces: [ArraySlice<UInt8>], limits: HTTPLimits) {
        var decoder = HTTPRequestDecoder(limits: limits)
        do {
            for piece in pieces { try take(piece.span, with: &decoder) }
        } catch {
            self.error = error
        }
        isIdle = decoder.isIdle
    }

    private mutating func take(
        _ piece: Span<UInt8>, with decoder: inout HTTPRequestDecoder
    ) throws(HTTPDecodeError) {
        var offset = 0
        while true {
            switch try decoder.nextEvent(piece, from: &offset) {
            case .needMoreInput:
                precondition(offset == piece.count, "input left behind")
                return
            case .head(let head):
                check(head)
                heads.append(head)
            case .body(let range):
                precondition(!range.isEmpty, "an empty piece of body")
                piece.extracting(range).withUnsafeBufferPointer { bodies.append(contentsOf: $0) }
            case .end:
                ends += 1
            }
        }
    }

    private func check(_ head: HTTPRequestHead) {
        precondition(!head.target.isEmpty && head.target.allSatisfy { 0x21...0x7E ~= $0 })
        precondition(head.method == .connect || !head.path.isEmpty)
        precondition(head.minorVersion == 0 || head.fields.count(of: "host") == 1)
        precondition(head.fields.count(of: "content-length") <= 1)
        for field in head.fields.all() {
            precondition(!field.name.bytes.isEmpty && field.name.bytes.allSatisfy(\.isTokenCharacter))
            precondition(field.value.bytes.allSatisfy { $0 >= 0x20 && $0 != 0x7F || $0 == 0x09 })
            precondition(field.value.bytes.first != 0x20 && field.value.bytes.last != 0x20)
            precondition(head.fields.first(named: Array(field.name.bytes)) != nil)
        }
    }
}

/// The first byte chooses the limits, the next two where to cut; the rest is the input.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ data: UnsafePointer<UInt8>, _ size: Int) -> CInt {
    guard size >= 3 else { return 0 }
    let input = Array(UnsafeBufferPointer(start: data, count: size))[3...]
    var limits = HTTPLimits()
    if data[0] & 1 == 1 {
        limits.maxHead = 128
        limits.maxFields = 4
        limits.maxChunkLine = 8
        limits.maxTrailer = 32
    }
    let cut = 3 + (Int(data[1]) << 8 | Int(data[2])) % (input.count + 1)
    let whole = Outcome([input], limits: limits)
    precondition(whole == Outcome([input[..<cut], input[cut...]], limits: limits), "the cut changes the outcome")
    return 0
}
