// Feeds bytes to what opens sealed texts. None of them may open, unless it was sealed; what is sealed opens; and a text in
// base64url has one spelling.

private let key = [UInt8](repeating: 1, count: KeyRing.keySize)
private let seal = Seal(ring: KeyRing([key]), deployment: "fuzz")
private let now = UnixTime(seconds: 1_800_000_000)

/// The first byte chooses what is done with the rest.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ data: UnsafePointer<UInt8>, _ size: Int) -> CInt {
    guard size >= 1 else { return 0 }
    let input = Array(UnsafeBufferPointer(start: data, count: size).dropFirst())
    switch data[0] & 3 {
    case 0:
        precondition(!opens(input), "forged")
    case 1:
        precondition(!opens(Array("v1.".utf8) + input), "forged")
    case 2:
        guard let bytes = Base64URL.decodeText(input) else { return 0 }
        precondition(Base64URL.encodeBytes(bytes) == input, "two spellings of the same bytes")
    default:
        guard input.count <= Seal.maxPayload else { return 0 }
        let text = seal.sealPayload(input, for: .cursor, caller: input, until: UnixTime(seconds: 1_800_000_001))
        let opened = try? seal.openText(text, for: .cursor, caller: input, at: now)
        precondition(opened == input, "what was sealed does not open")
        var changed = text
        changed[input.count * 31 % text.count] ^= 1 << (UInt8(input.count & 7))
        precondition((try? seal.openText(changed, for: .cursor, caller: input, at: now)) == nil, "a change unnoticed")
    }
    return 0
}

private func opens(_ text: [UInt8]) -> Bool {
    (try? seal.openText(text, for: .cursor, caller: [], at: now)) != nil
}
