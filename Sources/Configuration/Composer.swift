/// Makes one tree of the events of a YAML text. Only what a configuration needs of YAML is let through: mappings with
/// plain keys, lists and scalars, one document.
struct Composer: ~Copyable {
    /// The configuration is four levels deep; more is a mistake or an attack on the stack.
    private static let maxDepth = 16

    private var events: YAMLEvents
    private let report: Report

    /// Why the text cannot be read on.
    private enum Failure: Error {
        case reported
        case syntax(YAMLSyntaxError)
    }

    /// The root of the document, nil when there is none or the text could not be read to its end; then the reason is in
    /// `report`.
    static func composeRoot(_ source: SourceText, report: Report) -> Node? {
        // A configuration needs none, and libyaml compares each %TAG with all before it.
        if let directive = source.firstLine(beginningWith: UInt8(ascii: "%")) {
            report.addIssue("directives (%YAML, %TAG) are not supported: remove this line", at: directive)
            return nil
        }
        var composer = Composer(events: YAMLEvents(source.bytes), report: report)
        do throws(Failure) {
            return try composer.readStream()
        } catch {
            if case .syntax(let error) = error {
                if let opening = error.openQuote {
                    report.addIssue("not valid YAML: the quote that opens here is not closed; close it", at: opening)
                } else {
                    report.addIssue(error.explanation, at: error.location)
                }
            }
            return nil
        }
    }

    private init(events: consuming YAMLEvents, report: Report) {
        self.events = events
        self.report = report
    }

    private mutating func nextEvent() throws(Failure) -> YAMLEvent {
        do throws(YAMLSyntaxError) {
            return try events.nextEvent()
        } catch {
            throw .syntax(error)
        }
    }

    private mutating func readStream() throws(Failure) -> Node {
        var root: Node?
        while true {
            let event = try nextEvent()
            switch event.kind {
            case .streamEnd:
                return root ?? Node(origin: .position(0), content: .scalar(Scalar("", isPlain: true)))
            case .documentStart:
                guard root == nil else {
                    report.addIssue(
                        "there must be one document: remove this `---` and what follows", at: event.position)
                    throw .reported
                }
                root = try readNode(try nextEvent(), depth: 1)
            default:
                break
            }
        }
    }

    /// The node that begins with `event`.
    private mutating func readNode(_ event: YAMLEvent, depth: Int) throws(Failure) -> Node {
        guard depth <= Self.maxDepth else {
            report.addIssue(
                "nested too deeply: no setting is more than \(Self.maxDepth) levels deep", at: event.position)
            throw .reported
        }
        if event.hasAnchor {
            report.addIssue("anchors (&name) are not supported: write the value out at each place", at: event.position)
        }
        if event.hasTag {
            report.addIssue("tags (!name) are not supported: remove it, each key knows its type", at: event.position)
        }
        return Node(origin: .position(event.position), content: try nodeContent(event, depth: depth))
    }

    private mutating func nodeContent(_ event: YAMLEvent, depth: Int) throws(Failure) -> Node.Content {
        switch event.kind {
        case .scalar(let text, let isPlain):
            return .scalar(Scalar(text, isPlain: isPlain))
        case .alias:
            report.addIssue("aliases (*name) are not supported: write the value out at each place", at: event.position)
            return .refused
        case .listStart:
            return .list(try readList(depth: depth + 1))
        case .mappingStart:
            return .mapping(try readMapping(depth: depth + 1))
        case .streamStart, .streamEnd, .documentStart, .documentEnd, .listEnd, .mappingEnd:
            // libyaml begins every node with one of the others.
            report.addIssue("no value stands here: write one", at: event.position)
            throw .reported
        }
    }

    private mutating func readList(depth: Int) throws(Failure) -> [Node] {
        var items: [Node] = []
        while true {
            let event = try nextEvent()
            if case .listEnd = event.kind { return items }
            items.append(try readNode(event, depth: depth))
        }
    }

    private mutating func readMapping(depth: Int) throws(Failure) -> [Node.Entry] {
        var entries: [Node.Entry] = []
        var seen: [String: Int] = [:]
        while true {
            let event = try nextEvent()
            if case .mappingEnd = event.kind { return entries }
            let key = try readNode(event, depth: depth)
            let value = try readNode(try nextEvent(), depth: depth)
            guard case .scalar(let scalar) = key.content else {
                if case .refused = key.content { continue }
                report.addIssue("a key must be plain text, not \(key.shown)", at: event.position)
                continue
            }
            let name = scalar.written
            if let first = seen[name] {
                report.addIssue(
                    "duplicate key \(name.quoted), given before on line \(report.lineNumber(of: first)): keep one of them",
                    at: event.position)
            } else {
                seen[name] = event.position
                entries.append(Node.Entry(key: name, keyPosition: event.position, value: value))
            }
        }
    }
}

extension YAMLSyntaxError {
    /// Where the quote is that is not closed, if that is what is wrong. The text often ends, or another key comes, long after it.
    fileprivate var openQuote: SourceText.Location? {
        guard context == "while scanning a quoted scalar", problem.contains("unexpected") else { return nil }
        return start
    }

    /// What is wrong, and what to do about it.
    fileprivate var explanation: String {
        let advice =
            switch problem {
            case "found character that cannot start any token", "found a tab character that violates indentation",
                "found a tab character where an indentation space is expected":
                "indent with spaces instead of tabs, and put a value that begins with @, ` or % in quotes"
            case "mapping values are not allowed in this context":
                "check the indentation of this line, and put a value that has `: ` in it in quotes"
            case "did not find expected alphabetic or numeric character":
                "put a value that begins with * or & in quotes, such as \"*\""
            case "control characters are not allowed":
                "remove the control character here"
            default:
                "check the indentation, that quotes and brackets are closed, and that values with brackets in them are "
                    + "in quotes, such as \"[::1]:8808\" or, within brackets, \"${NAME}\""
            }
        let what = context.map { "\(problem) \($0)" } ?? problem
        return "not valid YAML, \(what): \(advice)"
    }
}
