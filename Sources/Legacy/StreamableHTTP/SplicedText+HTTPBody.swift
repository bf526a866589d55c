import HTTPTransport
import JSONText

/// A translated message goes out without being joined first.
extension SplicedText: HTTPBody {}
