// Feeds bytes to what reads the answers of a store. However they come in parts, the same answers are read, and none is larger
// than what came.

/// The first byte chooses where the parts end.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ data: UnsafePointer<UInt8>, _ size: Int) -> CInt {
    guard size >= 1 else { return 0 }
    let input = Array(UnsafeBufferPointer(start: data, count: size).dropFirst())
    let (whole, isWholeGood) = replies(in: input, by: input.count)
    let (parts, arePartsGood) = replies(in: input, by: Int(data[0] % 16) + 1)
    precondition(whole == parts && isWholeGood == arePartsGood, "parts make a difference")
    precondition(whole.reduce(0) { $0 + bytes(of: $1) } <= input.count, "more than what came")
    return 0
}

private func replies(in input: [UInt8], by size: Int) -> (replies: [StoreReply], isGood: Bool) {
    let reader = ReplyReader()
    var found: [StoreReply] = []
    do throws(StoreFailure) {
        for start in stride(from: 0, to: input.count, by: max(1, size)) {
            let part = Array(input[start..<min(start + max(1, size), input.count)])
            try reader.feedBytes(part.span)
            while let reply = try reader.takeReply() { found.append(reply) }
        }
        return (found, true)
    } catch {
        return (found, false)
    }
}

private func bytes(of reply: StoreReply) -> Int {
    switch reply {
    case .status(let text), .text(let text), .error(let text): text.count
    case .texts(let texts): texts.reduce(0) { $0 + $1.count }
    case .integer, .nothing: 0
    }
}
