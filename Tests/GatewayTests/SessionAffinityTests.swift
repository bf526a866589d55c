import Crypto
import Testing

@testable import Gateway

@Suite struct SessionAffinityTests {
    private static func id(_ number: Int) -> [UInt8] { Array("session-\(number)".utf8) }

    @Test func whatWasLearntIsKnown() {
        let affinity = SessionAffinity(key: HashKey())
        affinity.learn(Self.id(1), at: [1])
        affinity.learn(Self.id(2), at: [2])
        affinity.learn(Self.id(1), at: [3])
        #expect(affinity.place(of: Self.id(1)) == [3])
        #expect(affinity.place(of: Self.id(2)) == [2])
        #expect(affinity.place(of: Self.id(3)) == nil)
    }

    @Test func itIsBoundedAndForgetsWhatNobodyAsksFor() {
        let affinity = SessionAffinity(key: HashKey())
        affinity.learn(Self.id(0), at: [7])
        affinity.learn(Self.id(-1), at: [8])
        for number in 1...20_000 {
            affinity.learn(Self.id(number), at: [1])
            if number.isMultiple(of: 1000) { #expect(affinity.place(of: Self.id(0)) == [7]) }
            #expect(affinity.count <= 8192)
        }
        #expect(affinity.place(of: Self.id(-1)) == nil)
        #expect(affinity.place(of: Self.id(17_000)) == [1])
    }
}
