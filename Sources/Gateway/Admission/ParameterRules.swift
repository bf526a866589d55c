import JSONText
import MCP
import Translation

/// Parameters that must be right before a server sees them. What a server checks itself is left to it.
enum ParameterRules {
    static func checkParameters(_ request: ModernRequest) throws(Refusal) {
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
            try requireMember("name", .string, in: request)
            try allowMember("arguments", .object, in: request)
        case .uri:
            try requireMember("uri", .string, in: request)
        case .cursor:
            try allowMember("cursor", .string, in: request)
        case .completion:
            try requireMember("ref", .object, in: request)
            try requireMember("argument", .object, in: request)
        case .task:
            try requireMember("taskId", .string, in: request)
        case .none, .unknown:
            break
        }
    }

    /// Bytes of a progress token. It is most often a number or a key.
    private static let maxToken = 1024

    private static func requireMember(
        _ name: StaticString, _ kind: JSONKind, in request: ModernRequest
    ) throws(Refusal) {
        guard request.document.value(name, of: request.params)?.kind == kind else {
            throw .invalidParams("\(request.method.name) needs \"\(name)\" as \(kindWords(kind)).")
        }
    }

    private static func allowMember(_ name: StaticString, _ kind: JSONKind, in request: ModernRequest) throws(Refusal) {
        guard let value = request.document.value(name, of: request.params) else { return }
        guard value.kind == kind else { throw .invalidParams("\"\(name)\" must be \(kindWords(kind)).") }
    }

    private static func kindWords(_ kind: JSONKind) -> String { kind == .object ? "an object" : "a string" }
}
