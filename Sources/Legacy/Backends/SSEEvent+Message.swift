import HTTPWire
import MCP

extension SSEEvent {
    /// The text of the message that the event brings; nil for one that brings none. An event without data only says its id, and
    /// one of another type than `jsonMessage` is something else, but for an error of JSON-RPC as `error`.
    func jsonMessage(of server: LegacyServer, _ passedOver: PassedOver) -> [UInt8]? {
        if data.isEmpty { return nil }
        guard let type else { return data }
        if type.elementsEqual("error".utf8) {
            var messages = ServerMessages(data, revision: nil, maxDepth: server.limits.maxDepth)
            if case .response(_, .error) = messages.next()?.kind { return data }
        }
        passedOver.noteSkipped(data.count, because: "an event of another type than message", type: type)
        return nil
    }
}
