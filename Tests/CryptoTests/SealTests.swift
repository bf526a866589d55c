import Testing

@testable import Crypto

@Suite struct SealTests {
    private static let old = [UInt8](repeating: 1, count: KeyRing.keySize)
    private static let new = [UInt8](repeating: 2, count: KeyRing.keySize)
    private static let now = UnixTime(seconds: 1_800_000_000)
    private static let caller = Array("Bearer a".utf8)
    private static let payload = Array("payload \u{0}é".utf8)

    private static func seal(_ keys: [[UInt8]] = [old], deployment: String = "d") -> Seal {
        Seal(ring: KeyRing(keys), deployment: deployment)
    }

    /// A text that was sealed for a minute.
    private static func text(by seal: Seal = seal()) -> [UInt8] {
        seal.sealPayload(payload, for: .cursor, caller: caller, until: now + .seconds(60))
    }

    private static func open(
        _ text: [UInt8], with seal: Seal = seal(), for purpose: Seal.Purpose = .cursor, caller: [UInt8] = caller,
        after delay: Duration = .zero
    ) throws(Seal.Invalid) -> [UInt8] {
        try seal.openText(text, for: purpose, caller: caller, at: now + delay)
    }

    @Test(arguments: Seal.Purpose.allCases)
    func whatIsSealedOpens(purpose: Seal.Purpose) throws {
        let seal = Self.seal()
        for count in Array(0..<100) + [1000, Seal.maxPayload] {
            let payload = [UInt8](repeating: UInt8(count & 255), count: count)
            for caller in [[], Self.caller] {
                let text = seal.sealPayload(payload, for: purpose, caller: caller, until: Self.now + .seconds(1))
                #expect(try seal.openText(text, for: purpose, caller: caller, at: Self.now) == payload)
            }
        }
    }

    @Test func itIsShortAndNeedsNoEscaping() {
        let text = Self.text()
        #expect(text.count == 3 + (4 * (44 + Self.payload.count) + 2) / 3)
        #expect(text.starts(with: Array("v1.".utf8)))
        let allowed = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.".utf8)
        #expect(text.allSatisfy { allowed.contains($0) })
    }

    @Test func oneTextIsNeverSealedTwiceTheSameWay() {
        #expect(Set((0..<1000).map { _ in Self.text() }).count == 1000)
    }

    @Test func theRandomnessIsTheOneHandedIn() {
        let seal = Seal(ring: KeyRing([Self.old]), deployment: "d") { [UInt8](repeating: 7, count: $0) }
        #expect(Self.text(by: seal) == Self.text(by: seal))
    }

    @Test func everyChangeOfACharacterIsNoticed() {
        let text = Self.text()
        let digits = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.=\u{0}".utf8)
        for place in text.indices {
            for digit in digits where digit != text[place] {
                var changed = text
                changed[place] = digit
                #expect(throws: Seal.Invalid()) { try Self.open(changed) }
            }
        }
    }

    @Test func everyOtherLengthIsNoticed() {
        let text = Self.text()
        for count in 0..<text.count {
            #expect(throws: Seal.Invalid()) { try Self.open(Array(text.prefix(count))) }
            #expect(throws: Seal.Invalid()) { try Self.open(Array(text.suffix(count))) }
        }
        for more in ["A", "AA", "AAA", "AAAA", "=", " ", "\n", "\u{0}"] {
            #expect(throws: Seal.Invalid()) { try Self.open(text + Array(more.utf8)) }
        }
        let endless = Array("v1.".utf8) + [UInt8](repeating: UInt8(ascii: "A"), count: 10_000_000)
        #expect(throws: Seal.Invalid()) { try Self.open(endless) }
    }

    @Test func anotherPurposeDoesNotOpenIt() {
        for purpose in Seal.Purpose.allCases where purpose != .cursor {
            #expect(throws: Seal.Invalid()) { try Self.open(Self.text(), for: purpose) }
        }
    }

    @Test func anotherCallerDoesNotOpenIt() {
        for caller in ["", "Bearer b", "Bearer a ", "bearer a"] {
            #expect(throws: Seal.Invalid()) { try Self.open(Self.text(), caller: Array(caller.utf8)) }
        }
    }

    @Test func anotherDeploymentDoesNotOpenIt() {
        #expect(throws: Seal.Invalid()) { try Self.open(Self.text(), with: Self.seal(deployment: "e")) }
        #expect(throws: Seal.Invalid()) { try Self.open(Self.text(), with: Self.seal(deployment: "")) }
    }

    @Test func itOpensUntilItsEndAndNotThen() throws {
        #expect(try Self.open(Self.text(), after: .seconds(59)) == Self.payload)
        #expect(throws: Seal.Invalid()) { try Self.open(Self.text(), after: .seconds(60)) }
        #expect(throws: Seal.Invalid()) { try Self.open(Self.text(), after: .seconds(1_000_000)) }
    }

    @Test func anEndBeyondTheRangeIsTheLastThatThereIs() throws {
        let seal = Self.seal()
        let far = seal.sealPayload([], for: .handle, caller: [], until: UnixTime(seconds: .max))
        #expect(try seal.openText(far, for: .handle, caller: [], at: Self.now) == [])
        let past = seal.sealPayload([], for: .handle, caller: [], until: UnixTime(seconds: -1))
        #expect(throws: Seal.Invalid()) { try seal.openText(past, for: .handle, caller: [], at: UnixTime(seconds: 0)) }
    }

    @Test func aKeyThatIsNotInTheRingOpensNothing() {
        #expect(throws: Seal.Invalid()) { try Self.open(Self.text(by: Self.seal([Self.new]))) }
    }

    /// The three steps of a change, with replicas that have made the step and others that have not.
    @Test func aKeyIsChangedWithoutRefusals() throws {
        let steps = [[Self.old], [Self.old, Self.new], [Self.new, Self.old], [Self.new]].map { Self.seal($0) }
        for (before, after) in zip(steps, steps.dropFirst()) {
            #expect(try Self.open(Self.text(by: before), with: before) == Self.payload)
            #expect(try Self.open(Self.text(by: after), with: before) == Self.payload)
            #expect(try Self.open(Self.text(by: after), with: after) == Self.payload)
        }
        #expect(try Self.open(Self.text(by: steps[0]), with: steps[2]) == Self.payload)
        #expect(throws: Seal.Invalid()) { try Self.open(Self.text(by: steps[0]), with: steps[3]) }
    }

    /// A new ring and new randomness must not break what older Remoras of a fleet sealed.
    @Test func theLayoutStaysAsItIs() throws {
        let seal = Seal(ring: KeyRing([Self.old]), deployment: "d") { [UInt8](repeating: 7, count: $0) }
        let text = String(decoding: Self.text(by: seal), as: UTF8.self)
        #expect(text == Self.golden)
        #expect(try Self.open(Array(Self.golden.utf8)) == Self.payload)
    }

    private static let golden =
        "v1.AN16zgcHBwcHBwcHBwcHB6z54Ir6n3lO7ICjcR4TLDgEBLmH0G4w0f1b-SXNG06AiSxnsMauow"

    /// Each step of a change of key, with what was sealed before it.
    @Test func aRingIsReplacedWhileItIsUsed() throws {
        let seal = Self.seal([Self.old])
        let first = Self.text(by: seal)
        seal.useRing(KeyRing([Self.old, Self.new]))
        #expect(try Self.open(first, with: seal) == Self.payload)
        #expect(try Self.open(Self.text(by: seal), with: Self.seal([Self.old])) == Self.payload)
        seal.useRing(KeyRing([Self.new, Self.old]))
        let second = Self.text(by: seal)
        #expect(try Self.open(first, with: seal) == Self.payload)
        #expect(try Self.open(second, with: Self.seal([Self.new])) == Self.payload)
        seal.useRing(KeyRing([Self.new]))
        #expect(try Self.open(second, with: seal) == Self.payload)
        #expect(throws: Seal.Invalid()) { try Self.open(first, with: seal) }
    }
}
