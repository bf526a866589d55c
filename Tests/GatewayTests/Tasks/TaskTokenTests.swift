import Crypto
import Testing

@testable import Gateway

@Suite struct TaskTokenTests {
    private static let created = UnixTime(seconds: 1_800_000_000)

    private static func token(_ place: TaskToken.Place? = nil) -> TaskToken {
        TaskToken(
            created: created, expires: created + .seconds(60), principal: Array(1...16),
            task: CallID { Array(UInt8(1)...UInt8($0)) }, owner: Array("a/1".utf8), place: place)
    }

    private static let place = TaskToken.Place(
        sessionID: Array("5e55".utf8), cookies: Array("lb=1".utf8), legacyID: Array("t-é".utf8))

    @Test func whatIsEncodedIsDecoded() {
        for place in [nil, Self.place] {
            let token = Self.token(place)
            #expect(TaskToken(token.encoded()) == token)
        }
    }

    /// A token has one encoding: whatever decodes is what encoding gives.
    @Test func everyOtherTextIsRefusedOrAnotherToken() {
        for place in [nil, Self.place] {
            let encoded = Self.token(place).encoded()
            for count in 0..<encoded.count { #expect(TaskToken(Array(encoded.prefix(count))) == nil) }
            #expect(TaskToken(encoded + [0]) == nil)
            for index in encoded.indices {
                for change: UInt8 in [1, 2, 0x80, 0xFF] {
                    var changed = encoded
                    changed[index] ^= change
                    guard let token = TaskToken(changed) else { continue }
                    #expect(token.encoded() == changed)
                }
            }
        }
    }

    /// It goes into a header, and a head has 16 KiB.
    @Test func whatIsTooLongIsLeftOut() {
        for place in [
            TaskToken.Place(sessionID: Array(repeating: 0x61, count: 513), cookies: [], legacyID: [0x61]),
            TaskToken.Place(sessionID: [0x61], cookies: Array(repeating: 0x61, count: 1025), legacyID: [0x61]),
            TaskToken.Place(sessionID: [0x61], cookies: [], legacyID: Array(repeating: 0x61, count: 513)),
            TaskToken.Place(sessionID: [], cookies: [], legacyID: [0x61]),
        ] {
            #expect(TaskToken(Self.token(place).encoded()) == Self.token())
        }
    }
}
