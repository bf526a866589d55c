package import HTTPWire

/// Header lines of a client's request that say who it is, as they came. They go to the backend with the call.
///
/// A class: they are handed on many times for each call, and nearly always the same.
package final class Credentials: Sendable {
    package let lines: [(name: HTTPFieldValue, value: HTTPFieldValue)]
    /// Lines that say where the request came from. They tell no callers apart.
    package let origin: [(name: StaticString, value: [UInt8])]

    package init(
        lines: [(name: HTTPFieldValue, value: HTTPFieldValue)], origin: [(name: StaticString, value: [UInt8])] = []
    ) {
        self.lines = lines
        self.origin = origin
    }

    package static let none = Credentials(lines: [])
}
