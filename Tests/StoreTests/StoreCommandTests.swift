import Testing

@testable import Store

@Suite struct StoreCommandTests {
    private static func texts(of command: StoreCommand) -> [String] {
        command.arguments.map { String(decoding: $0, as: UTF8.self) }
    }

    @Test func aScriptHasItsKeysBeforeItsArguments() {
        let command = StoreCommand(
            script: "return KEYS[1]", keys: [Array("k".utf8), Array("l".utf8)], arguments: [Array("a".utf8)])
        #expect(Self.texts(of: command) == ["EVAL", "return KEYS[1]", "2", "k", "l", "a"])
    }

    @Test func compareAndSetTellsNothingFromAnyValue() {
        let key = Array("k".utf8)
        let first = StoreCommand.compareAndSet(key, expecting: nil, to: Array("v".utf8), for: .seconds(2))
        #expect(Self.texts(of: first).suffix(4) == ["k", "", "v", "2000"])
        let next = StoreCommand.compareAndSet(
            key, expecting: Array("v".utf8), to: Array("w".utf8), for: .microseconds(1))
        #expect(Self.texts(of: next).suffix(4) == ["k", "v", "w", "1"])
    }
}
