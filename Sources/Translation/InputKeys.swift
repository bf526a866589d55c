/// Hands out the keys of `inputRequests` for one call. A key means one question for ever: a late answer to an earlier one
/// cannot be taken for it (2026-07-28, basic/patterns/mrtr: keys "MUST be unique within the scope of the request").
package struct InputKeys: Sendable {
    private var taken: Set<String> = []
    private var count = 0

    /// None is taken.
    package init() {}

    /// The key means something already.
    package mutating func takeKey(_ key: String) { taken.insert(key) }

    /// The first name that the server wishes for and that is free, else the kind and a number. A question that is asked once
    /// more gets another one.
    package mutating func freeKey(for request: InputRequest) -> String {
        for key in request.wishedKeys where taken.insert(key).inserted { return key }
        while true {
            count += 1
            let key = "\(request.kind.name)-\(count)"
            if taken.insert(key).inserted { return key }
        }
    }
}

extension InputRequest.Kind {
    fileprivate var name: String {
        switch self {
        case .form, .url: "elicitation"
        case .sampling: "sampling"
        case .roots: "roots"
        }
    }
}
