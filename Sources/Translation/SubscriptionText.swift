import JSONText

/// The messages around a subscription (2026-07-28, basic/patterns/subscriptions). Each carries the id of the request that
/// opened it, as the client spelled it.
package enum SubscriptionText {
    static let metaStart: StaticString = #""_meta":{"io.modelcontextprotocol/subscriptionId":"#

    /// The first message: what of the filter is honoured ("Acknowledgment").
    package static func acknowledgment(of filter: SubscriptionFilter, id: [UInt8]) -> [UInt8] {
        var text: [UInt8] = []
        text.append(#"{"jsonrpc":"2.0","method":"notifications/subscriptions/acknowledged","params":{"#)
        text.append(metaStart)
        text.append(contentsOf: id)
        text.append(#"},"notifications":"#)
        text.append(contentsOf: filter.json)
        text.append("}}")
        return text
    }

    /// The last message: the subscription ends on the server's side, and all is well ("Graceful Closure").
    ///
    /// - Parameter serverInfo: as the server spelled it.
    package static func completion(id: [UInt8], serverInfo: [UInt8]) -> [UInt8] {
        var text = ResponseText.resultHead(id: id[...])
        text.append(#"{"resultType":"complete","#)
        text.append(metaStart)
        text.append(contentsOf: id)
        text.append(#","io.modelcontextprotocol/serverInfo":"#)
        text.append(contentsOf: serverInfo)
        text.append("}}}")
        return text
    }
}
