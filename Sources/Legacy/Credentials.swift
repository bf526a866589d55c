package import HTTPWire

/// Header lines of a client's request that say who it is, as they came. They go to the backend with the call.
package struct Credentials: Sendable {
    package let lines: [(name: HTTPFieldValue, value: HTTPFieldValue)]

    package init(lines: [(name: HTTPFieldValue, value: HTTPFieldValue)]) { self.lines = lines }

    package static let none = Credentials(lines: [])
}
