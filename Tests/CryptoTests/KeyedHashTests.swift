import Testing

@testable import Crypto

@Suite struct KeyedHashTests {
    private static let secrets = ["", "a", "b", "ab", "a\u{0}", String(repeating: "x", count: 100_000)]
        .map { Array($0.utf8) }

    @Test func equalSecretsAreEqualAndOthersDiffer() {
        let key = HashKey()
        let hashes = Self.secrets.map { key.hash($0) }
        #expect(Set(hashes).count == Self.secrets.count)
        #expect(Self.secrets.map { key.hash($0) } == hashes)
    }

    /// A secret cannot be found by hashing guesses without the key of the process.
    @Test func anotherKeyGivesOtherHashes() {
        let one = HashKey()
        let other = HashKey()
        for secret in Self.secrets { #expect(one.hash(secret) != other.hash(secret)) }
    }

    @Test func noSecretIsUnlikeAnySecret() {
        let key = HashKey()
        for secret in Self.secrets { #expect(key.hash(secret) != KeyedHash.none) }
        #expect(KeyedHash.none.short == "-")
    }

    @Test func theShortFormTellsCallersApartAndNothingMore() {
        let key = HashKey()
        let short = key.hash(Array("Bearer token".utf8)).short
        #expect(short.utf8.count == 8)
        #expect(short.allSatisfy { "0123456789abcdef".contains($0) })
        #expect(key.hash(Array("Bearer other".utf8)).short != short)
        #expect(key.hash(Array("Bearer token".utf8)).short == short)
    }

    @Test func randomBytesAreAsManyAsAskedForAndDiffer() {
        for count in [0, 1, 32, 256] { #expect(SecureRandom.bytes(count).count == count) }
        #expect(Set((0..<100).map { _ in SecureRandom.bytes(16) }).count == 100)
    }
}
