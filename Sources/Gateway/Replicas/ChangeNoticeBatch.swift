import Crypto
import JSONText
import Translation

/// Change notices on their way from one replica to another, as JSON:
/// `[["<caller in base64url>","tools"],["…","resource","<uri>"]]`.
enum ChangeNoticeBatch {
    /// Notices of one batch.
    static let max = 512
    /// Bytes of a URI. Subscribers to a longer one get notices of their own replica's server only.
    static let maxURI = 2048
    /// Bytes of the longest text: each byte of a URI may be escaped to six.
    static let maxSize = 8 << 20

    static func batchText(_ notices: [PeerChangeNotice]) -> [UInt8] {
        var text = Array("[".utf8)
        for (index, notice) in notices.enumerated() {
            if index > 0 { text.append(",") }
            text.append("[\"")
            text += Base64URL.encodeBytes(notice.caller)
            text.append("\",")
            switch notice.notice {
            case .toolsListChanged: text.append("\"tools\"")
            case .promptsListChanged: text.append("\"prompts\"")
            case .resourcesListChanged: text.append("\"resources\"")
            case .resourceUpdated(let uri):
                text.append("\"resource\",")
                text.appendJSON(String(decoding: uri, as: UTF8.self))
            }
            text.append("]")
        }
        text.append("]")
        return text
    }

    /// - Returns: `nil` if the text is no batch.
    static func readBatch(_ text: [UInt8]) -> [PeerChangeNotice]? {
        guard let document = try? JSONDocument(text, maxDepth: 8), document.root.kind == .array else { return nil }
        var notices: [PeerChangeNotice] = []
        for element in document.elements(of: document.root) {
            guard notices.count < max, let notice = readNotice(element, in: document) else { return nil }
            notices.append(notice)
        }
        return notices
    }

    private static func readNotice(_ element: JSONValue, in document: JSONDocument) -> PeerChangeNotice? {
        guard element.kind == .array else { return nil }
        let parts = document.elements(of: element).prefix(4).map { document.stringBytes($0) }
        guard parts.count >= 2, let name = parts[0].flatMap({ Base64URL.decodeText($0) }), name.count == Seal.nameSize,
            let kind = parts[1]
        else { return nil }
        switch (String(decoding: kind, as: UTF8.self), parts.count) {
        case ("tools", 2): return PeerChangeNotice(caller: name, notice: .toolsListChanged)
        case ("prompts", 2): return PeerChangeNotice(caller: name, notice: .promptsListChanged)
        case ("resources", 2): return PeerChangeNotice(caller: name, notice: .resourcesListChanged)
        case ("resource", 3):
            guard let uri = parts[2], uri.count <= maxURI else { return nil }
            return PeerChangeNotice(caller: name, notice: .resourceUpdated(uri))
        default: return nil
        }
    }
}
