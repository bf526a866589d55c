@testable import JSONText

/// A change to a random place, which can be made with a splice and, in the most naive way, in a tree.
struct RandomChange {
    enum Action {
        case replace(String)
        case object(removed: Set<Int>, additions: [(name: StaticString, text: String, position: JSONSplice.Position)])
    }

    /// The way to the value from the root, by the numbers of members and elements.
    let path: [Int]
    let action: Action

    /// The bigger, the further inside is what it changes.
    var order: Double {
        if case .replace = action { Double(path.count) } else { Double(path.count) + 0.5 }
    }

    /// At most one change of each object and one replacement.
    static func several(in tree: Tree, using random: inout some RandomNumberGenerator) -> [RandomChange] {
        let places = tree.places()
        var changes = places.filter { tree.at($0[...]).isObject && Bool.random(using: &random) }.map { path in
            let count = tree.at(path[...]).memberCount
            let names: [StaticString] = ["a", "é", "😀", "/", "new", "\"", ""]
            return RandomChange(
                path: path,
                action: .object(
                    removed: Set((0..<count).filter { _ in Bool.random(using: &random) }),
                    additions: (0..<Int.random(in: 0...3, using: &random)).map { _ in
                        let name = names.randomElement(using: &random) ?? ""
                        let position: JSONSplice.Position = Bool.random(using: &random) ? .start : .end
                        return (name, "[\(Int.random(in: 0...9, using: &random))]", position)
                    }))
        }
        if let path = places.randomElement(using: &random), Bool.random(using: &random) {
            changes.append(RandomChange(path: path, action: .replace(#"{"replaced":1.0}"#)))
        }
        return changes.shuffled(using: &random)
    }

    func apply(to splice: inout JSONSplice, _ root: JSONValue) {
        let document = splice.document
        let value = path.reduce(root) { value, index in
            value.kind == .object
                ? document.members(of: value).dropFirst(index).first { _ in true }?.value ?? value
                : document.elements(of: value).dropFirst(index).first { _ in true } ?? value
        }
        switch action {
        case .replace(let text):
            splice.replaceValue(value, with: Array(text.utf8))
        case .object(let removed, let additions):
            let names = document.members(of: value).map(\.name)
            splice.removeMembers(from: value) { member in removed.contains { names[$0] == member.name } }
            for addition in additions {
                splice.setMember(addition.name, to: Array(addition.text.utf8), in: value, at: addition.position)
            }
        }
    }

    func apply(to tree: inout Tree, path: ArraySlice<Int>) {
        switch (tree, path.first) {
        case (.array(var elements), let index?):
            apply(to: &elements[index], path: path.dropFirst())
            tree = .array(elements)
        case (.object(var members), let index?):
            apply(to: &members[index].value, path: path.dropFirst())
            tree = .object(members)
        default:
            switch action {
            case .replace(let text): tree = (try? Tree(text.utf8)) ?? tree
            case .object: applyHere(to: &tree)
            }
        }
    }

    private func applyHere(to tree: inout Tree) {
        guard case .object(var members) = tree, case .object(let removed, let all) = action else { return }
        var additions = all
        additions.removeAll()
        for addition in all {
            additions.removeAll { "\($0.name)" == "\(addition.name)" }
            additions.append(addition)
        }
        members = members.enumerated().filter { index, member in
            !removed.contains(index) || additions.contains { "\($0.name)" == member.name }
        }.map(\.element)
        var start: [Tree.Member] = []
        for addition in additions {
            let name = "\(addition.name)"
            let value = (try? Tree(addition.text.utf8)) ?? .leaf("")
            if let first = members.firstIndex(where: { $0.name == name }) {
                members[first].value = value
                let others = members[(first + 1)...].filter { $0.name != name }
                members.replaceSubrange((first + 1)..., with: others)
            } else {
                let member = Tree.Member(name: name, spelling: name == "\"" ? #"\""# : name, value: value)
                if addition.position == .start {
                    start.append(member)
                } else {
                    members.append(member)
                }
            }
        }
        tree = .object(start + members)
    }
}

extension Tree {
    var isObject: Bool {
        if case .object = self { true } else { false }
    }

    var memberCount: Int {
        if case .object(let members) = self { members.count } else { 0 }
    }

    private var children: [Tree] {
        switch self {
        case .leaf: []
        case .array(let elements): elements
        case .object(let members): members.map(\.value)
        }
    }

    /// The ways to all values in it.
    func places() -> [[Int]] {
        [[]] + children.enumerated().flatMap { index, child in child.places().map { [index] + $0 } }
    }

    func at(_ path: ArraySlice<Int>) -> Tree {
        path.first.map { children[$0].at(path.dropFirst()) } ?? self
    }
}
