/// Ways to values in an object, each a path of member names, that are found in one walk over its text.
package struct JSONPaths: Sendable {
    /// What is at the end of a path.
    package enum Found: Equatable, Sendable {
        case nothing
        case value(JSONValue)
        /// A name on the way stands there twice, or is one that not every reader reads alike: readers differ in what they
        /// find.
        case ambiguous
    }

    struct Node: Sendable {
        /// As it reads.
        let name: [UInt8]
        /// The numbers of the paths that end here.
        var paths: [Int] = []
        /// Indices of nodes, in the order of their names: shorter ones first.
        var children: [Int] = []
    }

    /// The first one is the object.
    private(set) var nodes = [Node(name: [])]

    /// How many there are.
    package private(set) var count = 0

    /// None.
    package init() {}

    /// Adds one. Its number is the count before.
    ///
    /// - Parameter names: as they read.
    package mutating func addPath(_ names: [[UInt8]]) {
        var node = 0
        for name in names {
            let (index, isThere) = childPlace(of: name.span, in: node)
            if !isThere {
                nodes[node].children.insert(nodes.count, at: index)
                nodes.append(Node(name: name))
            }
            node = nodes[node].children[index]
        }
        nodes[node].paths.append(count)
        count += 1
    }

    /// The node below this one that has the name; nil when there is none.
    func childNode(of node: Int, named name: Span<UInt8>) -> Int? {
        let (index, isThere) = childPlace(of: name, in: node)
        return isThere ? nodes[node].children[index] : nil
    }

    /// Where among the children the one with the name is, or would be.
    private func childPlace(of name: Span<UInt8>, in node: Int) -> (index: Int, isThere: Bool) {
        var (low, high) = (0, nodes[node].children.count)
        while low < high {
            let middle = (low + high) / 2
            let other = nodes[nodes[node].children[middle]].name
            switch JSONPaths.nameOrder(other, name) {
            case 0: return (middle, true)
            case ..<0: low = middle + 1
            default: high = middle
            }
        }
        return (low, false)
    }

    /// Below zero where the left name comes first, and zero where they are the same.
    private static func nameOrder(_ left: [UInt8], _ right: Span<UInt8>) -> Int {
        if left.count != right.count { return left.count - right.count }
        for index in left.indices where left[index] != right[index] { return Int(left[index]) - Int(right[index]) }
        return 0
    }
}

extension JSONDocument {
    /// What is at the end of each path in an object, by the paths' numbers. Nothing when the value is not an object.
    package func findPaths(_ paths: JSONPaths, in object: JSONValue) -> [JSONPaths.Found] {
        var walk = JSONPathWalk(paths, owner: tag)
        if object.kind == .object, owns(object) {
            let bytes = bytes
            _ = walk.walkObject(bytes.span, from: object.range.lowerBound, at: 0)
        }
        return walk.found
    }
}

/// Goes over the text of an object, and into those below it to which paths lead.
private struct JSONPathWalk {
    private let paths: JSONPaths
    private let owner: JSONDocument.Tag
    private(set) var found: [JSONPaths.Found]
    /// By the index of the node.
    private var isSeen: [Bool]

    init(_ paths: JSONPaths, owner: JSONDocument.Tag) {
        self.paths = paths
        self.owner = owner
        found = Array(repeating: .nothing, count: paths.count)
        isSeen = Array(repeating: false, count: paths.nodes.count)
    }

    /// The object that starts at `start` is at this node. Returns the position after it. It calls itself as deep as the paths
    /// are long.
    mutating func walkObject(_ text: Span<UInt8>, from start: Int, at node: Int) -> Int {
        var position = JSONSkip.skipSeparators(text, from: start + 1)
        while position < text.count, text[position] == .quote {
            let (nameEnd, isEscaped) = JSONSkip.skipString(text, from: position)
            let name = position + 1..<nameEnd - 1
            position = JSONSkip.skipSeparators(text, from: nameEnd)
            if let child = childNode(of: node, text, name, isEscaped: isEscaped) {
                position = walkValue(text, from: position, at: child)
                if isEscaped, text.hasUnpairedSurrogate(name) { markDoubtful(child) }
            } else {
                position = JSONSkip.skipValue(text, from: position).end
            }
            position = JSONSkip.skipSeparators(text, from: position)
        }
        return position + 1
    }

    private func childNode(of node: Int, _ text: Span<UInt8>, _ name: Range<Int>, isEscaped: Bool) -> Int? {
        guard isEscaped else { return paths.childNode(of: node, named: text.extracting(name)) }
        let unescaped = text.unescaped(name)
        return paths.childNode(of: node, named: unescaped.span)
    }

    private mutating func walkValue(_ text: Span<UInt8>, from start: Int, at node: Int) -> Int {
        guard !isSeen[node] else {
            markDoubtful(node)
            return JSONSkip.skipValue(text, from: start).end
        }
        isSeen[node] = true
        let end: Int
        var isEscaped = false
        if text[start] == .openBrace, !paths.nodes[node].children.isEmpty {
            end = walkObject(text, from: start, at: node)
        } else {
            (end, isEscaped) = JSONSkip.skipValue(text, from: start)
        }
        if let kind = JSONKind(firstByte: text[start]) {
            let value = JSONValue(
                kind: kind, place: TextRange(start..<end), record: nil, isEscaped: isEscaped, owner: owner)
            for path in paths.nodes[node].paths { found[path] = .value(value) }
        }
        return end
    }

    /// What is here and below is ambiguous.
    private mutating func markDoubtful(_ node: Int) {
        for path in paths.nodes[node].paths { found[path] = .ambiguous }
        for child in paths.nodes[node].children { markDoubtful(child) }
    }
}
