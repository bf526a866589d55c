import Testing

@testable import JSONText

/// Texts that are made of parts of several documents, short and long ones.
@Suite struct SplicedTextTests {
    /// A document in which every byte of a value tells whose it is, and its members as they are spelled.
    private struct Source {
        let document: JSONDocument
        let members: [(name: String, value: String)]

        init(_ letter: Character, using random: inout Seeded) throws {
            let sizes = [0, 1, 40, 4000, 4090, 4095, 4096, 4097, 4200, 9000, 30_000]
            members = (0..<Int.random(in: 0...5, using: &random)).map { index in
                let size = sizes.randomElement(using: &random) ?? 0
                return ("\(letter)\(index)", "\"" + String(repeating: letter, count: size) + "\"")
            }
            document = try JSONDocument(
                text: Source.object(members), recording: Int.random(in: 0...3, using: &random))
        }

        static func object(_ members: [(name: String, value: String)]) -> String {
            "{" + members.map { #""\#($0.name)":\#($0.value)"# }.joined(separator: ",") + "}"
        }

        /// The members that a number picks, and the others.
        func split(by choice: Int) -> (picked: Set<String>, left: [(name: String, value: String)]) {
            let picked = members.indices.filter { choice >> $0 & 1 == 1 }.map { members[$0].name }
            return (Set(picked), members.filter { !picked.contains($0.name) })
        }
    }

    /// Does one random thing to the text, and the same in the simplest way to its copy.
    private func change(
        _ text: inout SplicedText, _ copy: inout String, with source: Source, using random: inout Seeded
    ) {
        let document = source.document
        let choice = Int.random(in: 0..<32, using: &random)
        let (picked, left) = source.split(by: choice)
        let filler = String(repeating: "-", count: [0, 3, 4096, 5000].randomElement(using: &random) ?? 0)
        switch Int.random(in: 0..<8, using: &random) {
        case 0:
            text.append(Array(filler.utf8))
            copy += filler
        case 1:
            text.prepend(Array(filler.utf8))
            copy = filler + copy
        case 2:
            text.append(document.root, of: document)
            copy += Source.object(source.members)
        case 3:
            text.append(document.root, of: document) { picked.contains(document.name(of: $0)) }
            copy += Source.object(left)
        case 4:
            text.append(membersOf: document.root, in: document) { picked.contains(document.name(of: $0)) }
            copy += left.map { #""\#($0.name)":\#($0.value),"# }.joined()
        case 5:
            text.append(document.root, of: document, adding: #""first":1"#, and: Array(#""last":2"#.utf8))
            copy += Source.object([("first", "1")] + source.members + [("last", "2")])
        case 6:
            var splice = JSONSplice(document)
            splice.removeMembers(from: document.root) { picked.contains(document.name(of: $0)) }
            splice.setMember("new", to: Array("\"\(filler)\"".utf8), in: document.root)
            splice.renderValue(document.root, to: &text)
            copy += Source.object(left + [("new", "\"\(filler)\"")])
        default:
            guard let member = document.members(of: document.root).first(where: { _ in true }) else { return }
            JSONSplice(document).renderValue(member.value, to: &text)
            copy += source.members[0].value
        }
    }

    @Test func partsOfSeveralDocumentsStayApart() throws {
        var random = Seeded(11)
        for _ in 0..<1500 {
            let sources = try ["a", "b", "c"].map { try Source($0, using: &random) }
            let head = String(repeating: "h", count: [0, 10, 4096, 4097, 30_000].randomElement(using: &random) ?? 0)
            var text = SplicedText(Array(head.utf8))
            var copy = head
            for _ in 0..<Int.random(in: 1...6, using: &random) {
                guard let source = sources.randomElement(using: &random) else { return }
                change(&text, &copy, with: source, using: &random)
            }
            #expect(text.count == copy.utf8.count)
            #expect(text.slices.reduce(into: [UInt8]()) { $0 += $1 } == Array(copy.utf8))
            if text.string != copy {
                Issue.record("\(text.string.prefix(300)) is not \(copy.prefix(300))")
                return
            }
        }
    }

    @Test(arguments: [4200, 30_000])
    func aLongHeadIsNoDocument(size: Int) throws {
        let document = try JSONDocument(text: #"{"message":"\#(String(repeating: "m", count: 5000))","data":1}"#)
        let head = String(repeating: "h", count: size)
        var splice = JSONSplice(document)
        splice.setMember("code", to: "-1", in: document.root, at: .start)
        var text = SplicedText(Array(head.utf8))
        splice.renderValue(document.root, to: &text)
        #expect(text.string == head + #"{"code":-1,"# + document.text(document.root).dropFirst())
    }
}
