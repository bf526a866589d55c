import HTTPTransport
import JSONText
import Reactor

extension HTTPServerRequest {
    /// Bytes of a body that are read in one turn of the loop: some 100 us of its time.
    private static let partSize = 64 * 1024

    /// Whether the body takes more than one turn to read.
    var isLarge: Bool { body.count > HTTPServerRequest.partSize }

    /// The body as a JSON text. While a large one is read, the loop serves others between its parts.
    func readDocument(maxDepth: Int, on loop: Loop) async throws(JSONTextError) -> JSONDocument {
        guard isLarge else { return try JSONDocument(body, maxDepth: maxDepth) }
        var reading = try JSONReading(body, maxDepth: maxDepth)
        while true {
            if let document = try reading.readPart(HTTPServerRequest.partSize) { return document }
            await loop.nextTurn()
        }
    }
}
