import JSONText

/// Writes one JSON object after the other, for `/status.json`.
struct JSONWriter {
    private(set) var bytes = Array("{".utf8)
    private var isFirst = true

    private mutating func writeName(_ name: String) {
        if !isFirst { bytes.append(",") }
        isFirst = false
        bytes.appendJSON(name)
        bytes.append(":")
    }

    mutating func addMember(_ name: String, _ value: Int?) {
        self.writeName(name)
        if let value { bytes.appendJSON(value) } else { bytes.append("null") }
    }

    mutating func addMember(_ name: String, _ value: Bool?) {
        self.writeName(name)
        bytes.append(value.map { $0 ? "true" : "false" } ?? "null")
    }

    mutating func addMember(_ name: String, _ value: String?) {
        self.writeName(name)
        if let value { bytes.appendJSON(value) } else { bytes.append("null") }
    }

    /// A number as text, which is JSON already; nil is null.
    mutating func addMember(_ name: String, number: String?) {
        self.writeName(name)
        bytes.append(contentsOf: (number ?? "null").utf8)
    }

    mutating func addObject(_ name: String, _ fill: (inout JSONWriter) -> Void) {
        self.writeName(name)
        bytes.append(contentsOf: JSONWriter.documentText(fill))
    }

    /// An array with an object for each item.
    mutating func addList<Item>(_ name: String, _ items: [Item], of fill: (Item, inout JSONWriter) -> Void) {
        self.writeName(name)
        bytes.append("[")
        for (index, item) in items.enumerated() {
            if index > 0 { bytes.append(",") }
            bytes.append(contentsOf: JSONWriter.documentText { fill(item, &$0) })
        }
        bytes.append("]")
    }

    static func documentText(_ fill: (inout JSONWriter) -> Void) -> [UInt8] {
        var writer = JSONWriter()
        fill(&writer)
        return writer.bytes + [UInt8(ascii: "}")]
    }
}
