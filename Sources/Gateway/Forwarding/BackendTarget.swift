import HTTPWire

/// The target, on the backend, of a forwarded request.
enum BackendTarget {
    /// The backend's endpoint, with the client's query after the backend's own.
    ///
    /// - Parameters:
    ///   - target: path and query of the endpoint.
    ///   - query: query of the client, without `?`. `nil`: none.
    static func endpointTarget(_ target: [UInt8], query: ArraySlice<UInt8>?) -> [UInt8] {
        guard let query else { return target }
        let separator = target.contains(UInt8(ascii: "?")) ? UInt8(ascii: "&") : UInt8(ascii: "?")
        return target + [separator] + query
    }
}

extension HTTPRequestHead {
    /// The query of the target, without `?`. `nil`: none.
    var query: ArraySlice<UInt8>? {
        target.firstIndex(of: UInt8(ascii: "?")).map { target[($0 + 1)...] }
    }
}
