// Fuzzing of JSONText, in one module with it:
//
//     swiftc -O -sanitize=fuzzer,address -parse-as-library -package-name remora \
//         Sources/JSONText/*.swift Tests/Fuzz/JSONTextFuzz.swift -o json-fuzz

/// Parses, walks everything, changes something in each object and checks that the outcome is JSON again.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzOne(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    let input = Array(UnsafeBufferPointer(start: start, count: count))
    let choice = input.reduce(0) { $0 &* 31 &+ $1 }
    guard let document = try? JSONDocument(input, maxDepth: 64, recording: Int(choice % 4)) else { return 0 }

    var splice = JSONSplice(document)
    var length = 0
    walk(document.root, of: document, choice: choice, splice: &splice, length: &length)
    precondition(length <= input.count * 3)

    let changed = splice.renderedText(document.root)
    var text: [UInt8] = []
    changed.append(to: &text)
    precondition(text.count == changed.count)
    // Nothing that is put in is deeper than what was there, but for the root.
    precondition((try? JSONDocument(text, maxDepth: 65)) != nil, "a change broke the text")

    var canonical: [UInt8] = []
    document.appendCanonical(of: document.root, into: &canonical)
    guard let again = try? JSONDocument(canonical, maxDepth: 64) else { preconditionFailure("canonical is not JSON") }
    var twice: [UInt8] = []
    again.appendCanonical(of: again.root, into: &twice)
    precondition(canonical == twice, "canonical is not stable")
    join(document, again, head: canonical)
    return 0
}

/// Puts parts of two documents behind one another, with a head that is as long as a part that is not copied, and compares
/// with copies. What belongs to one document is nothing to the other.
private func join(_ first: JSONDocument, _ second: JSONDocument, head: [UInt8]) {
    var expected: [UInt8] = []
    while expected.count <= SplicedText.maxCopied { expected += head.isEmpty ? [0] : head }
    var text = SplicedText(expected)
    for document in [first, second, first] {
        text.append(document.root, of: document) { _ in false }
        JSONSplice(document).renderValue(document.root, to: &text)
        text.append(document.root, of: document)
        for _ in 0..<3 { expected += document.raw(document.root) }
        text.prepend(head)
        expected = head + expected
    }
    var out: [UInt8] = []
    text.append(to: &out)
    precondition(out == expected && text.slices.reduce(into: []) { $0 += $1 } == expected, "parts are mixed up")
    // Of two documents some MiB apart in memory the tags may be the same.
    let isTold = first.tag != second.tag
    precondition(!isTold || second.raw(first.root).elementsEqual("null".utf8), "a value is of another document")
}

/// Reads all that can be read of a value and of what is inside of it.
private func walk(
    _ value: JSONValue, of document: JSONDocument, choice: UInt8, splice: inout JSONSplice, length: inout Int
) {
    _ = document.integer(value)
    _ = document.boolean(value)
    if let bytes = document.stringBytes(value) {
        length += bytes.count
        let isText = document.string(value, equals: bytes)
        precondition(isText || String(decoding: bytes, as: UTF8.self).unicodeScalars.contains("\u{FFFD}"))
        var literal: [UInt8] = []
        literal.appendJSON(utf8: bytes[...])
        guard let again = try? JSONDocument(literal) else { preconditionFailure("a literal is not JSON") }
        precondition(again.stringBytes(again.root) == bytes)
    }
    for element in document.elements(of: value) {
        walk(element, of: document, choice: choice, splice: &splice, length: &length)
    }

    var names: Set<[UInt8]> = []
    var count = 0
    for member in document.members(of: value) {
        count += 1
        names.insert(Array(document.name(of: member).utf8))
        _ = document.hasName(member, prefix: "io.modelcontextprotocol/")
        walk(member.value, of: document, choice: choice, splice: &splice, length: &length)
    }
    precondition(document.hasDuplicateNames(value) == (names.count < count))
    guard value.kind == .object else { return }
    var paths = JSONPaths()
    for name in names { paths.addPath([name]) }
    for found in document.findPaths(paths, in: value) { precondition(found != .nothing, "a name was not found") }
    let found = document.value("a", of: value)
    precondition((found != nil) == names.contains(Array("a".utf8)))

    if choice & 4 != 0 {
        splice.removeMembers(from: value) { ($0.value.range.count ^ Int(choice)) & 1 == 0 }
    }
    if choice & 8 != 0 {
        splice.setMember("a", to: "1", in: value, at: choice & 16 != 0 ? .start : .end)
    }
    if choice & 32 != 0 {
        splice.setMember("b", to: "[]", in: value)
    }
    if choice & 64 != 0 {
        splice.setMember("c\"", to: "null", in: value, at: .start)
    }
}
