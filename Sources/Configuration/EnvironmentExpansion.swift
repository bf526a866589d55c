/// Puts values of environment variables in the place of `${NAME}`. It works on the parsed tree, so that no value can
/// become structure; `$${` stands for the text `${`.
struct EnvironmentExpansion {
    /// The file's own limit: what comes from outside must not make the tree larger than any file could.
    private static let maxBytes = 1 << 20

    let report: Report
    private var bytesLeft = Self.maxBytes

    init(report: Report) {
        self.report = report
    }

    /// Expands every scalar below `node` that is not a key. One that cannot be expanded is reported and refused.
    mutating func expandNode(_ node: inout Node, from environment: (String) -> String?) {
        switch node.content {
        case .refused:
            break
        case .scalar(var scalar):
            let isSound = expand(&scalar, at: node.origin, from: environment)
            node.content = isSound ? .scalar(scalar) : .refused
        case .list(var items):
            for index in items.indices { expandNode(&items[index], from: environment) }
            node.content = .list(items)
        case .mapping(var entries):
            for index in entries.indices { expandNode(&entries[index].value, from: environment) }
            node.content = .mapping(entries)
        }
    }

    /// False when it was reported that this cannot be done.
    private mutating func expand(
        _ scalar: inout Scalar, at origin: Node.Origin, from environment: (String) -> String?
    ) -> Bool {
        var rest = scalar.written.utf8[...]
        guard rest.contains(UInt8(ascii: "$")) else { return true }
        var value: [UInt8] = []
        var isSound = true
        while let first = rest.first {
            if rest.starts(with: "$${".utf8) {
                value += "${".utf8
                rest = rest.dropFirst(3)
            } else if rest.starts(with: "${".utf8) {
                scalar.isExpanded = true
                let name = rest.dropFirst(2).prefix { $0 != UInt8(ascii: "}") }
                rest = rest.dropFirst(2 + name.count)
                guard rest.popFirst() != nil, let name = String(name), name.isVariableName else {
                    report.addIssue(
                        "${ must be followed by the name of an environment variable (letters, digits, _) and }; write "
                            + "$${ where the text ${ itself is meant", at: origin)
                    return false
                }
                guard let found = environment(name) else {
                    report.addIssue(
                        "the environment variable \(name) is not set: start Remora with it, as by \(name)=VALUE "
                            + "remora -c FILE, or write the value here in place of ${\(name)}", at: origin)
                    isSound = false
                    continue
                }
                // Reported once: from there on nothing is expanded.
                guard bytesLeft >= 0 else { return false }
                bytesLeft -= found.utf8.count
                guard bytesLeft >= 0 else {
                    report.addIssue("the environment's values are longer than 1 MiB together: shorten them", at: origin)
                    return false
                }
                value += found.utf8
            } else {
                value.append(first)
                rest = rest.dropFirst()
            }
        }
        scalar.value = String(decoding: value, as: UTF8.self)
        return isSound
    }
}
