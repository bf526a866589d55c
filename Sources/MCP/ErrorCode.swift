/// JSON-RPC error codes, of JSON-RPC 2.0 and of MCP (2026-07-28, basic/index, "Error Codes").
package enum ErrorCode {
    package static let parseError = -32700
    package static let invalidRequest = -32600
    package static let methodNotFound = -32601
    package static let invalidParams = -32602
    package static let internalError = -32603

    /// `HeaderMismatch`: a header is missing, malformed, or differs from the body.
    package static let headerMismatch = -32020
    /// `MissingRequiredClientCapability`: the request needs something that its client did not declare.
    package static let missingRequiredClientCapability = -32021
    /// `UnsupportedProtocolVersion`
    package static let unsupportedProtocolVersion = -32022

    /// Resource not found, until 2025-11-25; 2026-07-28 says `invalidParams` and forbids this one.
    package static let legacyResourceNotFound = -32002

    /// `URLElicitationRequired`, of 2025-11-25 only; 2026-07-28 asks by `input_required` and forbids this one.
    package static let legacyURLElicitationRequired = -32042

    /// Codes that only the specification may give a meaning to.
    package static let reservedForSpecification = -32099 ... -32020
}
