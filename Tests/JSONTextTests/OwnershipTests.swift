import Testing

@testable import JSONText

/// A place belongs to its text: to another document, a value is `null`, and a member nothing.
@Suite struct OwnershipTests {
    private static let texts = [
        #"{"a":{"b":{"c":1}},"s":"text","n":7,"t":true,"l":[1,2]}"#,
        #"{"a":{"b":{"c":2}},"s":"wort","n":8,"t":true,"l":[3]}"#,
        "{}", "[]", #"{"x":"\#(String(repeating: "x", count: 9000))"}"#,
    ]

    @Test(arguments: texts.indices, texts.indices)
    func aValueOfAnotherDocumentIsNull(first: Int, second: Int) throws {
        for recording in [0, 3] {
            try check(
                JSONDocument(text: Self.texts[first], recording: recording),
                JSONDocument(text: Self.texts[second], recording: recording))
        }
    }

    private func check(_ owner: JSONDocument, _ other: JSONDocument) throws {
        var values = [owner.root]
        owner.forEachMember(of: owner.root) { values.append($0.value) }
        for value in values {
            #expect(other.text(value) == "null")
            #expect(other.string(value) == nil && other.stringBytes(value) == nil && other.integer(value) == nil)
            #expect(other.boolean(value) == nil && !other.isSpelledAsInteger(value))
            #expect(!other.isSpelled(value, as: Array(owner.raw(value))))
            #expect(other.members(of: value).allSatisfy { _ in false })
            #expect(other.elements(of: value).allSatisfy { _ in false })
            #expect(other.value("a", of: value) == nil && other.isEmpty(value))
            #expect(!other.hasDuplicateNames(value) && !other.isQuick(value))
            var canonical: [UInt8] = []
            other.appendCanonical(of: value, into: &canonical)
            #expect(canonical == Array("null".utf8))
        }
        for member in owner.members(of: owner.root) {
            #expect(other.name(of: member) == "")
            #expect(!other.name(of: member, equals: "a") && !other.hasName(member, prefix: ""))
        }
    }

    @Test func aSpliceLeavesAloneWhatIsNotItsOwn() throws {
        let owner = try JSONDocument(text: #"{"a":{"b":1}}"#)
        let other = try JSONDocument(text: #"{"a":{"b":1},"c":2}"#)
        let root = other.root
        var splice = JSONSplice(owner)
        splice.removeMembers("a", from: root)
        splice.setMember("d", to: "1", in: root)
        splice.replaceValue(root, with: "2")
        #expect(splice.renderedText(owner.root).string == #"{"a":{"b":1}}"#)
        #expect(JSONSplice(owner).renderedText(root).string == "null")
        var text = SplicedText()
        text.append(root, of: owner)
        text.append(root, of: owner) { _ in false }
        text.append(root, of: owner, adding: "1", and: [])
        text.append(membersOf: root, in: owner) { _ in false }
        #expect(text.string == "nullnullnull")
    }
}
