import Crypto
import Testing

@testable import Gateway

@Suite struct SessionAffinityTests {
    private static func id(_ number: Int) -> [UInt8] { Array("session-\(number)".utf8) }

    @Test func whatWasLearntIsKnown() {
        let affinity = SessionAffinity(key: HashKey())
        affinity.setBackend(of: Self.id(1), to: [1])
        affinity.setBackend(of: Self.id(2), to: [2])
        affinity.setBackend(of: Self.id(1), to: [3])
        #expect(affinity.backendName(of: Self.id(1)) == [3])
        #expect(affinity.backendName(of: Self.id(2)) == [2])
        #expect(affinity.backendName(of: Self.id(3)) == nil)
    }

    @Test func itIsBoundedAndForgetsWhatNobodyAsksFor() {
        let affinity = SessionAffinity(key: HashKey())
        affinity.setBackend(of: Self.id(0), to: [7])
        affinity.setBackend(of: Self.id(-1), to: [8])
        for number in 1...20_000 {
            affinity.setBackend(of: Self.id(number), to: [1])
            if number.isMultiple(of: 1000) { #expect(affinity.backendName(of: Self.id(0)) == [7]) }
            #expect(affinity.count <= 8192)
        }
        #expect(affinity.backendName(of: Self.id(-1)) == nil)
        #expect(affinity.backendName(of: Self.id(17_000)) == [1])
    }
}
