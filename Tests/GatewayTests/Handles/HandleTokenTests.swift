import Crypto
import Testing

@testable import Gateway

@Suite struct HandleTokenTests {
    private static let now = UnixTime(seconds: 1_800_000_000)
    private static let later = now + .seconds(60)
    private static let ada = Array("0:10:Bearer ada".utf8)
    private static let seal = Seal(ring: ring, deployment: "/mcp")
    private static let ring = KeyRing([[UInt8](repeating: 1, count: KeyRing.keySize)])

    private static func token(_ owner: String = "a/1") -> HandleToken {
        HandleToken(handle: CallID { Array(UInt8(1)...UInt8($0)) }, owner: Array(owner.utf8))
    }

    @Test func whatIsEncodedIsDecoded() {
        for owner in ["", "/0", "a/1", String(repeating: "x", count: 64)] {
            let token = Self.token(owner)
            #expect(HandleToken(token.encoded()) == token)
        }
        #expect(HandleToken(Self.token(String(repeating: "x", count: 64)).encoded() + [0x78]) == nil)
    }

    /// A token has one encoding: whatever decodes is what encoding gives.
    @Test func everyOtherTextIsRefusedOrAnotherToken() {
        let encoded = Self.token().encoded()
        for count in 0..<(1 + CallID.size) { #expect(HandleToken(Array(encoded.prefix(count))) == nil) }
        for index in encoded.indices {
            for change: UInt8 in [1, 2, 0x80, 0xFF] {
                var changed = encoded
                changed[index] ^= change
                guard let token = HandleToken(changed) else {
                    #expect(index == 0)
                    continue
                }
                #expect(token.encoded() == changed && token != Self.token())
            }
        }
    }

    /// Models copy it. The longest owner is that of a process that has no name from the configuration, and 64 loops.
    @Test func aSealedOneIsShort() {
        let unnamed = String(repeating: "ff.", count: 8).dropLast() + "/63"
        for owner in ["/0", "replica-in-zone-b-number-12/3", String(unnamed)] {
            let text = Self.token(owner).sealed(for: Self.ada, until: Self.later, by: Self.seal)
            #expect(text.count <= 128 && text.allSatisfy { $0 > 0x20 && $0 < 0x7F })
        }
    }

    @Test func itIsGoodForItsCallerAndItsTime() {
        let text = Self.token().sealed(for: Self.ada, until: Self.later, by: Self.seal)
        #expect(HandleToken(text, of: Self.ada, by: Self.seal, at: Self.now) == Self.token())
        #expect(HandleToken(text, of: Self.ada, by: Self.seal, at: Self.later) == nil)
        #expect(HandleToken(text, of: Array("0:10:Bearer bob".utf8), by: Self.seal, at: Self.now) == nil)
        #expect(HandleToken(text, of: [], by: Self.seal, at: Self.now) == nil)
        let other = Seal(ring: KeyRing([[UInt8](repeating: 2, count: KeyRing.keySize)]), deployment: "/mcp")
        #expect(HandleToken(text, of: Self.ada, by: other, at: Self.now) == nil)
        // Sealed with another purpose, or for another deployment.
        let task = Self.seal.sealPayload(Self.token().encoded(), for: .task, caller: Self.ada, until: Self.later)
        #expect(HandleToken(task, of: Self.ada, by: Self.seal, at: Self.now) == nil)
        let elsewhere = Seal(ring: Self.ring, deployment: "/other")
        #expect(HandleToken(text, of: Self.ada, by: elsewhere, at: Self.now) == nil)
        for index in text.indices {
            var changed = text
            changed[index] = changed[index] == 0x41 ? 0x42 : 0x41
            #expect(HandleToken(changed, of: Self.ada, by: Self.seal, at: Self.now) == nil)
        }
    }
}
