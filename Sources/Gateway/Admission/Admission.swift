import Crypto
import HTTPTransport
import HTTPWire
import JSONText
import MCP
import Reactor
import Translation

/// What comes of a request at the front door.
enum Admission: Sendable {
    /// To be carried to the backend.
    case request(ModernRequest)
    /// A request of a client of an older revision, which goes to the backend as it is.
    case legacy
    /// A notification: taken, and dropped, because 2026-07-28 has none that a client could send over HTTP.
    case notification
    /// `id` is the request's, as far as it could be read.
    case refused(Refusal, id: [UInt8]?)
}

/// Everything that can be said of a request before a session is needed, in the order in which `docs/translation.md` §1 lists
/// it; but for origin and host, which ``Door`` looks at before. A pure function of the request and the settings.
struct AdmissionRules {
    private let settings: GatewaySettings
    private let path: [UInt8]

    init(settings: GatewaySettings) {
        self.settings = settings
        path = Array(settings.path.utf8)
    }

    /// Of a request whose body is not large, which would hold up the loop.
    ///
    /// - Parameter isHandedOver: whether another loop or replica let it in, where its client knocked.
    func admitRequest(_ request: HTTPServerRequest, isHandedOver: Bool = false) -> Admission {
        admitHead(of: request, isHandedOver: isHandedOver)
            ?? admitBody(of: request) { () throws(JSONTextError) in
                try JSONDocument(request.body, maxDepth: settings.maxDepth)
            }
    }

    /// As ``admitRequest(_:isHandedOver:)``, and lets the loop serve others while a large body is read.
    func admitRequest(_ request: HTTPServerRequest, isHandedOver: Bool = false, on loop: Loop) async -> Admission {
        if let admission = admitHead(of: request, isHandedOver: isHandedOver) { return admission }
        do throws(JSONTextError) {
            let document = try await request.readDocument(maxDepth: settings.maxDepth, on: loop)
            return admitBody(of: request) { document }
        } catch {
            return admitBody(of: request) { () throws(JSONTextError) in throw error }
        }
    }

    /// What can be said without the body.
    private func admitHead(of request: HTTPServerRequest, isHandedOver: Bool) -> Admission? {
        if !isHandedOver, let refusal = headRefusal(request.head) {
            return .refused(refusal, id: requestID(of: request))
        }
        return request.head.method == .post ? nil : .legacy
    }

    /// The id of a request that is refused by its head; nil where none can be read at once.
    private func requestID(of request: HTTPServerRequest) -> [UInt8]? {
        guard !request.body.isEmpty, !request.isLarge,
            let document = try? JSONDocument(request.body, maxDepth: settings.maxDepth)
        else { return nil }
        return rawID(of: document)
    }

    /// As it is spelled.
    private func rawID(of document: JSONDocument) -> [UInt8]? {
        Envelope.id(of: document).map { Array(document.raw($0)) }
    }

    /// - Parameter readBody: gives the body as a JSON text.
    @inline(__always)
    private func admitBody(
        of request: HTTPServerRequest, _ readBody: () throws(JSONTextError) -> JSONDocument
    ) -> Admission {
        let head = request.head
        let document: JSONDocument
        do throws(JSONTextError) {
            document = try readBody()
        } catch {
            // The type is looked at only now, so that an error about it can carry the id; it comes first all the same.
            return .refused(hasJSONType(head) ? .notJSON(error) : .wrongContentType, id: nil)
        }
        do throws(Refusal) {
            guard hasJSONType(head) else { throw .wrongContentType }
            return try admitDocument(document, head)
        } catch {
            return .refused(error, id: rawID(of: document))
        }
    }

    private func headRefusal(_ head: HTTPRequestHead) -> Refusal? {
        if !head.hasPath(path) { return .wrongPath(settings.path) }
        if head.method != .post, !isLegacy(head) { return .wrongMethod(settings.forwardsLegacyClients) }
        return nil
    }

    /// GET opens a stream of a session, and DELETE ends one: to clients of sessions alone. A client that says that it
    /// speaks 2026-07-28 has no use for either.
    private func isLegacy(_ head: HTTPRequestHead) -> Bool {
        guard settings.forwardsLegacyClients, head.method == .get || head.method == .delete else { return false }
        return head.fields.first(Header.protocolVersion).map { $0.string < Revision.modern.rawValue } ?? true
    }

    private func hasJSONType(_ head: HTTPRequestHead) -> Bool {
        head.fields.first("content-type")?.isMediaType("application/json") == true
    }

    private func admitDocument(_ document: JSONDocument, _ head: HTTPRequestHead) throws(Refusal) -> Admission {
        let envelope: Envelope
        do throws(Envelope.Flaw) {
            envelope = try Envelope(document)
        } catch .batch where settings.forwardsLegacyClients {
            return .legacy
        } catch {
            throw .notAMessage(error)
        }
        let meta = envelope.meta.map { RequestMeta($0, in: document) }
        if meta?.protocolVersion == nil {
            if settings.forwardsLegacyClients {
                if isLegacy(envelope, head) { return .legacy }
            } else {
                try refuseLegacy(envelope, head)
            }
        }
        switch envelope.kind {
        case .response, .unclear:
            throw .response
        case .notification:
            return .notification
        case .request(let id, let method):
            return .request(try admitEnvelope(envelope, id: id, method: method, meta, head))
        }
    }

    /// Whether this is a message of an older revision: besides in `_meta`, it names no version in the header or an older one.
    /// `initialize` is one whatever the header says: newer revisions do not have it.
    private func isLegacy(_ envelope: Envelope, _ head: HTTPRequestHead) -> Bool {
        let document = envelope.document
        if case .request(_, let method) = envelope.kind, document.string(method, equals: "initialize") { return true }
        return head.fields.first(Header.protocolVersion).map { $0.string < Revision.modern.rawValue } ?? true
    }

    /// The same, if messages of older revisions are refused: says which revision to speak.
    private func refuseLegacy(_ envelope: Envelope, _ head: HTTPRequestHead) throws(Refusal) {
        let document = envelope.document
        if case .request(_, let method) = envelope.kind, document.string(method, equals: "initialize") {
            // An older client has nothing to show its user but this.
            let requested = envelope.params.flatMap { document.value("protocolVersion", of: $0) }
            if let requested = requested.flatMap({ document.string($0) }) { throw .unsupportedVersion(requested) }
        }
        guard let header = head.fields.first(Header.protocolVersion) else { throw .noVersion }
        if header.string < Revision.modern.rawValue { throw .unsupportedVersion(header.string) }
    }

    private func admitEnvelope(
        _ envelope: Envelope, id: JSONValue, method: JSONValue, _ meta: RequestMeta?, _ head: HTTPRequestHead
    ) throws(Refusal) -> ModernRequest {
        let document = envelope.document
        let known = Method(method, in: document)
        let version = meta?.protocolVersion.flatMap { $0.kind == .string ? $0 : nil }
        try HeaderRules.checkStandardHeaders(
            head.fields, against: envelope, version: version, method: method, named: known?.nameParameter,
            toleratesOlderVersion: settings.toleratesOlderVersionHeader)
        guard let params = envelope.params, let meta, let version else {
            throw .malformed("params._meta needs \"\(MetaKey.protocolVersion)\" as a string on every request.")
        }
        guard let capabilities = meta.clientCapabilities, capabilities.kind == .object else {
            throw .malformed("params._meta needs \"\(MetaKey.clientCapabilities)\" as an object on every request.")
        }
        guard capabilities.count <= ClientCapabilities.maxSize else {
            throw .malformed(
                "\"\(MetaKey.clientCapabilities)\" has more than \(ClientCapabilities.maxSize) bytes. Declare less.")
        }
        guard document.string(version, equals: Revision.modern.name) else {
            throw .unsupportedVersion(document.string(version) ?? "")
        }
        guard let known = known ?? Method(ofExtension: method, in: document) else {
            throw .methodNotFound(document.string(method) ?? "", "This server does not implement it.")
        }
        return ModernRequest(
            document: document, id: id, method: known, params: params, meta: meta,
            trace: TraceRules.traceContext(of: meta, in: document, head.fields))
    }
}
