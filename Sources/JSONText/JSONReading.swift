/// A long text on its way to become a ``JSONDocument``: its reader does other things between the parts.
package struct JSONReading {
    private let bytes: [UInt8]
    private var validator: JSONValidator

    /// Nothing is read yet.
    ///
    /// - Parameters: as of ``JSONDocument/init(_:maxDepth:recording:)``.
    package init(_ bytes: [UInt8], maxDepth: Int = 128, recording: Int = 3) throws(JSONTextError) {
        guard bytes.count <= TextRange.maxOffset else { throw JSONTextError(.tooLong, at: TextRange.maxOffset) }
        self.bytes = bytes
        validator = JSONValidator(maxDepth: maxDepth, recording: recording)
    }

    /// Reads so many bytes more, or some more than that: a string of plain ASCII is not divided, nor is a number.
    ///
    /// - Returns: the document, once all of it is read. It is not to be called again then, nor after an error.
    package mutating func readPart(_ size: Int) throws(JSONTextError) -> JSONDocument? {
        let stop = validator.position + min(max(size, 1), TextRange.maxOffset)
        let bytes = bytes
        guard try validator.readPart(of: bytes.span, until: stop) else { return nil }
        return JSONDocument(knownToBeGood: bytes, validator.outline)
    }
}
