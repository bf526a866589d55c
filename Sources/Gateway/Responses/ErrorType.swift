import MCP

/// `error.type` of OpenTelemetry: what a request ended with. A closed set: the codes that the specifications name, and one
/// value for all that servers make up.
package enum ErrorType: Int, CaseIterable, Sendable {
    /// No error.
    case none
    case parseError, invalidRequest, methodNotFound, invalidParams, internalError
    case headerMismatch, missingCapability, unsupportedVersion
    /// The client went away.
    case cancelled
    case other

    /// - Parameters:
    ///   - code: of the JSON-RPC error, if the answer is one.
    ///   - status: of the response; 499 if the client had left.
    @inline(__always)
    init(code: Int?, status: Int) {
        if let code { self.init(code: code) } else { self = status == 499 ? .cancelled : .none }
    }

    private init(code: Int) {
        self =
            switch code {
            case ErrorCode.parseError: .parseError
            case ErrorCode.invalidRequest: .invalidRequest
            case ErrorCode.methodNotFound: .methodNotFound
            case ErrorCode.invalidParams: .invalidParams
            case ErrorCode.internalError: .internalError
            case ErrorCode.headerMismatch: .headerMismatch
            case ErrorCode.missingRequiredClientCapability: .missingCapability
            case ErrorCode.unsupportedProtocolVersion: .unsupportedVersion
            default: .other
            }
    }

    /// The value of the label: a code as it is on the wire, `_OTHER` as OpenTelemetry has it; empty for no error.
    package var label: String {
        switch self {
        case .none: ""
        case .parseError: "\(ErrorCode.parseError)"
        case .invalidRequest: "\(ErrorCode.invalidRequest)"
        case .methodNotFound: "\(ErrorCode.methodNotFound)"
        case .invalidParams: "\(ErrorCode.invalidParams)"
        case .internalError: "\(ErrorCode.internalError)"
        case .headerMismatch: "\(ErrorCode.headerMismatch)"
        case .missingCapability: "\(ErrorCode.missingRequiredClientCapability)"
        case .unsupportedVersion: "\(ErrorCode.unsupportedProtocolVersion)"
        case .cancelled: "cancelled"
        case .other: "_OTHER"
        }
    }

    /// The same, for a person.
    package var words: String {
        switch self {
        case .none: "no error code"
        case .parseError: "not JSON"
        case .invalidRequest: "invalid request"
        case .methodNotFound: "method not found"
        case .invalidParams: "invalid params"
        case .internalError: "internal error"
        case .headerMismatch: "header mismatch"
        case .missingCapability: "missing client capability"
        case .unsupportedVersion: "unsupported version"
        case .cancelled: "client went away"
        case .other: "another code"
        }
    }
}
