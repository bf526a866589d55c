import JSONText
import MCP
import Translation

/// Parameters that must be right before a server sees them. What a server checks itself is left to it.
enum ParameterRules {
    static func check(_ request: ModernRequest) throws(Refusal) {
        let document = request.document
        if let level = request.metadata.logLevel {
            guard let name = document.string(level), LoggingLevel(rawValue: name) != nil else {
                let levels = LoggingLevel.allCases.map(\.rawValue).joined(separator: ", ")
                throw .invalidParams("\"\(MetaKey.logLevel)\" must be one of \(levels).")
            }
        }
        if let token = request.metadata.progressToken,
            !Envelope.isValidID(token, in: document)
        {
            throw .invalidParams("progressToken must be a string or an integer.")
        }
        // It is kept with the call, and each notification of progress repeats it.
        if let token = request.metadata.progressToken, token.count > maxToken {
            throw .invalidParams("progressToken must have at most \(maxToken) bytes. Send a shorter one.")
        }
        switch request.method.parameters {
        case .name:
            try require("name", .string, in: request)
            try allow("arguments", .object, in: request)
        case .uri:
            try require("uri", .string, in: request)
        case .cursor:
            try allow("cursor", .string, in: request)
        case .completion:
            try require("ref", .object, in: request)
            try require("argument", .object, in: request)
        case .none, .unknown:
            break
        }
    }

    /// Bytes of a progress token. It is most often a number or a key.
    private static let maxToken = 1024

    private static func require(
        _ name: StaticString, _ kind: JSONKind, in request: ModernRequest
    ) throws(Refusal) {
        guard request.document.value(name, of: request.params)?.kind == kind else {
            throw .invalidParams("\(request.method.name) needs \"\(name)\" as \(words(kind)).")
        }
    }

    private static func allow(_ name: StaticString, _ kind: JSONKind, in request: ModernRequest) throws(Refusal) {
        guard let value = request.document.value(name, of: request.params) else { return }
        guard value.kind == kind else { throw .invalidParams("\"\(name)\" must be \(words(kind)).") }
    }

    private static func words(_ kind: JSONKind) -> String { kind == .object ? "an object" : "a string" }
}
