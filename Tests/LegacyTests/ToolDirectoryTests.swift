import JSONText
import Testing
import Translation

@testable import Legacy

@Suite struct ToolDirectoryTests {
    private static let name = Array("a".utf8)

    /// That the tool `a` may be called again.
    private static func facts() throws -> ToolFacts {
        var facts = ToolFacts()
        let document = try JSONDocument(Array(#"{"tools":[{"name":"a","annotations":{"readOnlyHint":true}}]}"#.utf8))
        facts.addTools(document.root, in: document)
        return facts
    }

    @Test func itKnowsWhatItLearnt() throws {
        var directory = ToolDirectory()
        #expect(directory.known == nil)
        directory.storeFacts(try Self.facts(), asOf: directory.version)
        #expect(directory.known?.mayBeRepeated(Self.name) == true)
    }

    @Test func aChangeMakesItForget() throws {
        var directory = ToolDirectory()
        directory.storeFacts(try Self.facts(), asOf: directory.version)
        directory.forgetTools()
        #expect(directory.known == nil)
    }

    @Test func whatAChangeOvertookIsNotLearnt() throws {
        var directory = ToolDirectory()
        let before = directory.version
        directory.forgetTools()
        directory.storeFacts(try Self.facts(), asOf: before)
        #expect(directory.known == nil)
        directory.storeFacts(try Self.facts(), asOf: directory.version)
        #expect(directory.known != nil)
    }
}
