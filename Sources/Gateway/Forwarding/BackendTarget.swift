import HTTPWire

/// Where on the backend a request goes that is passed through.
enum BackendTarget {
    /// The backend's own endpoint, with the client's query behind the backend's.
    ///
    /// - Parameters:
    ///   - target: path and query of the endpoint.
    ///   - query: as the client wrote it, without `?`; nil where it wrote none.
    static func endpoint(_ target: [UInt8], query: ArraySlice<UInt8>?) -> [UInt8] {
        guard let query else { return target }
        let separator = target.contains(UInt8(ascii: "?")) ? UInt8(ascii: "&") : UInt8(ascii: "?")
        return target + [separator] + query
    }
}

extension HTTPRequestHead {
    /// The query of the target, without `?`; nil where there is none.
    var query: ArraySlice<UInt8>? {
        target.firstIndex(of: UInt8(ascii: "?")).map { target[($0 + 1)...] }
    }
}
