// Opens changed handles, and decodes bytes that no seal stands before. Nothing that was changed may open, and what decodes has one
// encoding.

import Crypto

private let ring = KeyRing([
    [UInt8](repeating: 1, count: KeyRing.keySize), [UInt8](repeating: 2, count: KeyRing.keySize),
])
private let seal = Seal(ring: ring, deployment: "fuzz")
private let now = UnixTime(seconds: 1_800_000_000)
private let later = UnixTime(seconds: 1_800_000_600)
private let ada = Array("0:10:Bearer ada".utf8)
private let bob = Array("0:10:Bearer bob".utf8)
private let tokens = ["/0", "a/1", "ff.ff.ff.ff.ff.ff.ff.ff/63"].map { owner in
    HandleToken(handle: CallID { Array(UInt8(1)...UInt8($0)) }, owner: Array(owner.utf8))
}
private let texts = tokens.map { $0.sealed(for: ada, until: later, by: seal) }

/// The first byte chooses: of 0 to 2, a handle and how it is changed; else the bytes of a token.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ data: UnsafePointer<UInt8>, _ size: Int) -> CInt {
    guard size >= 1 else { return 0 }
    let input = Array(UnsafeBufferPointer(start: data, count: size))
    let rest = Array(input.dropFirst())
    guard Int(input[0]) < texts.count else {
        if let token = HandleToken(rest) { precondition(token.encoded() == rest, "another encoding") }
        // As a client sends it.
        precondition(HandleToken(rest, of: ada, by: seal, at: now) == nil || texts.contains(rest), "a forged handle")
        return 0
    }
    let text = texts[Int(input[0])]
    var changed = text
    var index = 0
    while index + 2 < rest.count, !changed.isEmpty {
        let place = Int(rest[index + 1]) % changed.count
        switch rest[index] & 3 {
        case 0: changed[place] ^= 1 << (rest[index + 2] & 7)
        case 1: changed[place] = rest[index + 2]
        case 2: changed.insert(rest[index + 2], at: place)
        default: changed.remove(at: place)
        }
        index += 3
    }
    let opened = HandleToken(changed, of: ada, by: seal, at: now)
    precondition(opened == (changed == text ? tokens[Int(input[0])] : nil), "a change that nobody notices")
    precondition(HandleToken(changed, of: bob, by: seal, at: now) == nil, "opens for another caller")
    precondition(HandleToken(changed, of: ada, by: seal, at: later) == nil, "opens when it is over")
    return 0
}
