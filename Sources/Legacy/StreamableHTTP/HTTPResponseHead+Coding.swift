import HTTPWire

extension HTTPResponseHead {
    /// Bytes of the names of codings in an error.
    private static let maxNames = 32

    /// The error of an answer whose body has a coding (RFC 9110 §8.4), which no request of Remora's accepts; nil where it has
    /// none.
    var codingError: BackendError? {
        guard let value = fields.first("content-encoding"), !value.bytes.isEmpty, !value.equalsIgnoringCase("identity")
        else { return nil }
        let names = String(decoding: value.bytes.prefix(HTTPResponseHead.maxNames), as: UTF8.self)
        return BackendError(
            .outcomeUnknown,
            "the server's answer is compressed (Content-Encoding: \(names)), though the request says Accept-Encoding: identity; "
                + "have what compresses leave answers to Remora as they are")
    }
}
