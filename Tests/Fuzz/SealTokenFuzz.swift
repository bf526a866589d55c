// Changes real sealed texts, as a client would that has one and wants another. None that was changed may open, and none that was
// not for any other purpose, caller, deployment or time.

private let oldKey = [UInt8](repeating: 2, count: KeyRing.keySize)
private let ring = KeyRing([[UInt8](repeating: 1, count: KeyRing.keySize), oldKey])
private let now = UnixTime(seconds: 1_800_000_000)
private let later = UnixTime(seconds: 1_800_000_600)
private let callers: [[UInt8]] = [[], Array("0:8:Bearer a".utf8), Array("0:8:Bearer b".utf8)]
private let seal = Seal(ring: ring, deployment: "fuzz")

/// As they are given to clients: of 0 to 700 bytes, for each caller, by either key.
private let tokens = [ring, KeyRing([oldKey])].flatMap { ring in callers.flatMap { texts(for: $0, by: ring) } }

private func texts(for caller: [UInt8], by ring: KeyRing) -> [(text: [UInt8], caller: [UInt8])] {
    let seal = Seal(ring: ring, deployment: "fuzz")
    return [0, 1, 95, 350, 700].map { size in
        let payload = (0..<size).map { UInt8(truncatingIfNeeded: $0 &* 31) }
        return (seal.sealPayload(payload, for: .requestState, caller: caller, until: later), caller)
    }
}

/// The first byte chooses the text, the rest says how it is changed.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ data: UnsafePointer<UInt8>, _ size: Int) -> CInt {
    guard size >= 5 else { return 0 }
    let input = UnsafeBufferPointer(start: data, count: size)
    let (text, caller) = tokens[Int(input[0]) % tokens.count]
    var changed = text
    var rest = input.dropFirst()
    while rest.count >= 4 {
        let operation = rest[rest.startIndex]
        let place = Int(rest[rest.startIndex + 1]) << 8 | Int(rest[rest.startIndex + 2])
        let byte = rest[rest.startIndex + 3]
        rest = rest.dropFirst(4)
        apply(operation, at: place, byte, to: &changed)
    }
    if changed == text {
        precondition(opens(changed, caller: caller), "what was sealed does not open")
        precondition(!opens(changed, caller: caller + [0]), "opens for another caller")
        precondition(!opens(changed, caller: caller, purpose: .cursor), "opens for another purpose")
        precondition(!opens(changed, caller: caller, at: later), "opens when it is over")
        return 0
    }
    for caller in callers where opens(changed, caller: caller) {
        // A client that puts the whole of another text in the place of its own has that other text.
        precondition(tokens.contains { $0.text == changed && $0.caller == caller }, "a change that nobody notices")
    }
    return 0
}

private func apply(_ operation: UInt8, at place: Int, _ byte: UInt8, to text: inout [UInt8]) {
    guard !text.isEmpty else { return text.append(byte) }
    let index = place % text.count
    switch operation & 7 {
    case 0: text[index] ^= 1 << (byte & 7)
    case 1: text[index] = byte
    case 2: text.remove(at: index)
    case 3: text.insert(byte, at: index)
    case 4: text.swapAt(index, Int(byte) % text.count)
    case 5: text.removeLast(min(text.count, Int(byte)))
    case 6:
        // The end of another, as two texts of one caller might be put together.
        let other = tokens[Int(byte) % tokens.count].text
        text = Array(text.prefix(index)) + other.dropFirst(index)
    default:
        let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_=.".utf8)
        text[index] = alphabet[Int(byte) % alphabet.count]
    }
}

private func opens(
    _ text: [UInt8], caller: [UInt8], purpose: Seal.Purpose = .requestState, at moment: UnixTime = now
) -> Bool {
    (try? seal.openText(text, for: purpose, caller: caller, at: moment)) != nil
}
