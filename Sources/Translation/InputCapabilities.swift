package import JSONText

/// The client capabilities by which a server may ask (2026-07-28, client/elicitation, client/sampling, client/roots).
package struct InputCapabilities: OptionSet, Hashable, Sendable {
    package let rawValue: UInt8

    package init(rawValue: UInt8) { self.rawValue = rawValue }

    /// Nothing. `[]` goes through an array and costs each call that says so 1,500 instructions.
    package static var none: InputCapabilities { InputCapabilities(rawValue: 0) }

    package var isEmpty: Bool { rawValue == 0 }

    package static let form = InputCapabilities(rawValue: 1)
    package static let url = InputCapabilities(rawValue: 2)
    package static let sampling = InputCapabilities(rawValue: 4)
    /// `sampling.tools`: questions with `tools` or `toolChoice`.
    package static let samplingTools = InputCapabilities(rawValue: 8)
    /// `sampling.context`: `includeContext` with another value than `none`.
    package static let samplingContext = InputCapabilities(rawValue: 16)
    package static let roots = InputCapabilities(rawValue: 32)

    /// Those that a request declares.
    ///
    /// - Parameter capabilities: of the request's `_meta`.
    package init(_ capabilities: JSONValue?, in document: JSONDocument) {
        self = []
        guard let capabilities, !document.isEmpty(capabilities) else { return }
        if let elicitation = document.value("elicitation", of: capabilities, .object) {
            // "An empty capabilities object is equivalent to declaring support for form mode only", and one of the two
            // every client has.
            let isBare =
                document.value("form", of: elicitation) == nil && document.value("url", of: elicitation) == nil
            if isBare || document.value("form", of: elicitation, .object) != nil { insert(.form) }
            if document.value("url", of: elicitation, .object) != nil { insert(.url) }
        }
        if let sampling = document.value("sampling", of: capabilities, .object) {
            insert(.sampling)
            if document.value("tools", of: sampling, .object) != nil { insert(.samplingTools) }
            if document.value("context", of: sampling, .object) != nil { insert(.samplingContext) }
        }
        if document.value("roots", of: capabilities, .object) != nil { insert(.roots) }
    }

    /// Those of capabilities that stand alone; nil where these are no JSON.
    package init?(_ capabilities: [UInt8]) {
        guard let document = try? JSONDocument(capabilities) else { return nil }
        self.init(document.root, in: document)
    }

    /// The value of `requiredCapabilities` in the error `-32021`: an object in the form of the client's own
    /// capabilities (2026-07-28, schema `MissingRequiredClientCapabilityError`).
    package var requiredCapabilities: [UInt8] {
        var members: [String] = []
        let modes = [contains(.form) ? #""form":{}"# : nil, contains(.url) ? #""url":{}"# : nil].compactMap(\.self)
        if !modes.isEmpty { members.append(#""elicitation":{"# + modes.joined(separator: ",") + "}") }
        let aspects = [
            contains(.samplingTools) ? #""tools":{}"# : nil, contains(.samplingContext) ? #""context":{}"# : nil,
        ]
        .compactMap(\.self)
        if contains(.sampling) || !aspects.isEmpty {
            members.append(#""sampling":{"# + aspects.joined(separator: ",") + "}")
        }
        if contains(.roots) { members.append(#""roots":{}"#) }
        return Array(("{" + members.joined(separator: ",") + "}").utf8)
    }
}
