import HTTPTransport
import HTTPWire
import JSONText
import Legacy
import MCP
import Reactor
import Telemetry
import Translation

/// Serves the requests that are not translated: requests that are forwarded to the backend unchanged, preflights of
/// browsers, and documents about authorization.
final class Forwarder {
    /// The kinds of requests that are served without admission.
    enum RequestClass {
        case authorization(AuthorizationRoute)
        /// For a path that the server's metadata may name. It has to be read first.
        case unknown
        /// For a modern server.
        case modern
        /// For a server whose era is not known yet.
        case undecided
    }

    private let settings: GatewaySettings
    private let backends: Backends
    private let affinity: SessionAffinity
    private let paths: AuthorizationPaths
    private let admission: AdmissionRules
    private let eras: EraWatch
    private let cors: CORSRules
    private let path: [UInt8]
    /// Path of the first backend's URL. All backends are replicas of one server.
    private let backendPath: String
    private var inFlight: [ObjectIdentifier: (request: ForwardedRequest, backend: Backend)] = [:]
    private var isDraining = false

    var eraObserver: (any EraObserver)? {
        get { eras.observer }
        set { eras.observer = newValue }
    }

    init(
        settings: GatewaySettings, admission: AdmissionRules, backends: Backends, sessions: SessionPool,
        known: KnownEras, affinity: SessionAffinity, paths: AuthorizationPaths, log: Log
    ) {
        self.settings = settings
        self.backends = backends
        self.affinity = affinity
        self.paths = paths
        eras = EraWatch(
            fixed: settings.era, interval: settings.probeInterval, backends: backends, sessions: sessions,
            known: known, log: log)
        self.admission = admission
        cors = CORSRules(
            forwardsLegacyClients: settings.forwardsLegacyClients, passed: settings.callerFields.passed)
        path = Array(settings.path.utf8)
        backendPath = backends.overHTTP.first.map { Forwarder.endpointPath(of: $0) } ?? ""
    }

    /// Has every response on the connection say that a page of the request's origin may read it, where that is allowed.
    func allowOrigin(of head: HTTPRequestHead, on connection: HTTPServerConnection) {
        guard let origin = head.fields.first("origin"), settings.door.allowsOrigin(of: head) else { return }
        connection.answerFields = cors.answerFields(to: origin)
    }

    /// The response to a browser's preflight; `nil` if the request is none.
    func preflightResponse(to head: HTTPRequestHead) -> HTTPResponse? {
        guard CORSRules.isPreflight(head), head.fields.first("origin") != nil else { return nil }
        let isEndpoint = head.hasPath(path)
        guard isEndpoint || authorizationRoute(of: head) != nil else { return nil }
        return cors.preflightResponse(head, isEndpoint: isEndpoint)
    }

    /// The kind of a request; `nil` if it has to be read.
    func classifyRequest(_ head: HTTPRequestHead) -> RequestClass? {
        if head.hasPath(path) { return classifyByEra(eras.knownEra) }
        if let route = authorizationRoute(of: head) { return .authorization(route) }
        return paths.mayReadMetadata(of: backends.name, at: backends.loop.now) ? .unknown : nil
    }

    private func classifyByEra(_ known: Era?) -> RequestClass? {
        if known == .legacy { return nil }
        if known == .modern { return .modern }
        switch eras.eraForRequest() {
        case .legacy: return nil
        case .modern: return .modern
        case nil: return .undecided
        }
    }

    /// Ends forwarded streams that would not end by themselves, now and from now on.
    ///
    /// - Parameter others: backends of the next configuration. Streams of these continue.
    func drainStreams(except others: Backends? = nil) {
        isDraining = others == nil
        for each in inFlight.values where others?.copyIndex(of: each.backend) == nil { each.request.drainStream() }
    }

    private func authorizationRoute(of head: HTTPRequestHead) -> AuthorizationRoute? {
        // A command serves no documents.
        if backends.overHTTP.isEmpty { return nil }
        return AuthorizationRoute(
            head.path, publicPaths: [settings.path, settings.publicURL?.path ?? settings.path],
            backendPath: backendPath) ?? paths.authorizationRoute(of: head.path, at: backends.name)
    }

    /// Serves and finishes a request.
    ///
    /// - Returns: `false` if it has to be translated after all.
    func serveRequest(
        _ requestClass: RequestClass, _ request: HTTPServerRequest, from caller: Caller, _ clientRequest: ClientRequest
    ) async -> Bool {
        let head = request.head
        switch requestClass {
        case .undecided:
            guard await isModernServer(for: request, from: caller) else { return false }
            await forwardRequest(request, clientRequest, isModern: true)
        case .modern:
            await forwardRequest(request, clientRequest, isModern: true)
        case .authorization(let route):
            clientRequest.describeRoute("authorization", head.method.name)
            await serveAuthorization(route, request, clientRequest)
        case .unknown:
            guard paths.beginReadingMetadata(of: backends.name, at: backends.loop.now) else { return false }
            await readMetadata(for: head)
            guard let route = paths.authorizationRoute(of: head.path, at: backends.name) else { return false }
            clientRequest.describeRoute("authorization", head.method.name)
            await serveAuthorization(route, request, clientRequest)
        }
        return true
    }

    /// Whether to forward a request for which no session could be opened, because the server is modern.
    var servesWithoutSession: Bool { eras.servesWithoutSession }

    /// Detects whether the server is modern. A request that needs a session is not examined here: its session is the
    /// evidence.
    private func isModernServer(for request: HTTPServerRequest, from caller: Caller) async -> Bool {
        switch await admission.admitRequest(request, on: backends.loop) {
        case .request(let admitted) where admitted.method != .listen: return false
        // `methodNotFound`: the backend may know the method.
        case .refused(let refusal, _) where refusal.code != ErrorCode.methodNotFound: return eras.servesWithoutSession
        case .legacy, .notification: return eras.servesWithoutSession
        case .request, .refused:
            return await eras.isModern(for: caller)
        }
    }

    // MARK: Forwarding

    /// Forwards a request to the MCP endpoint, and finishes it.
    ///
    /// - Parameter isModern: whether it is forwarded because the server is modern. A response that contradicts this is
    ///   noted.
    func forwardRequest(
        _ request: HTTPServerRequest, _ clientRequest: ClientRequest, isModern: Bool
    ) async {
        guard [.get, .post, .delete].contains(request.head.method) else {
            return clientRequest.finishRequest(.refused(.wrongMethod(true)))
        }
        clientRequest.describeRoute("pass", request.head.method.name)
        _ = await forwardToBackend(request, clientRequest) {
            BackendTarget.endpointTarget($0.target, query: request.head.query)
        }
        if isModern, Forwarder.speaksAgainstModern(clientRequest) { eras.doubtEra() }
    }

    /// Forwards a request to the MCP endpoint, unless the backend refuses it.
    ///
    /// - Parameter isRefusal: whether a response with this status is a refusal. It is not relayed.
    /// - Returns: whether the backend has refused it. The request is not finished then.
    func forwardRequest(
        _ request: HTTPServerRequest, _ clientRequest: ClientRequest,
        unless isRefusal: @escaping (_ status: Int) -> Bool
    ) async -> Bool {
        clientRequest.describeRoute("pass", request.head.method.name)
        return await forwardToBackend(request, clientRequest, unless: isRefusal) {
            BackendTarget.endpointTarget($0.target, query: request.head.query)
        }
    }

    /// Whether the response is one that a legacy server gives to modern requests. A modern server may give the same to
    /// a faulty request.
    private static func speaksAgainstModern(_ clientRequest: ClientRequest) -> Bool {
        let (status, side) = clientRequest.outcome
        return side == .backend || [400, 404, 405, 406, 410, 415, 421, 422].contains(status)
    }

    /// Forwards a request to the backend that has its session, or to the one with the least load. A request without a
    /// session is sent to another backend if the first one cannot be reached.
    ///
    /// - Returns: whether the response was a refusal.
    private func forwardToBackend(
        _ request: HTTPServerRequest, _ clientRequest: ClientRequest,
        unless isRefusal: ((_ status: Int) -> Bool)? = nil, target: (Backend) -> [UInt8]
    ) async -> Bool {
        var tried: Set<BackendChoice.Index> = []
        let home = request.head.fields.first(Header.sessionID).flatMap { backendIndex(of: Array($0.bytes)) }
        while true {
            if let home { backends.enterCopy(home) }
            guard let index = home ?? backends.enterCopy(except: tried) else {
                // The first round excludes none. Another round begins only if a backend is left.
                preconditionFailure("more than there are")
            }
            let backend = backends.overHTTP[index]
            var wasRefusal = false
            let (outcome, forwarded) = await sendRequest(request, to: backend, target(backend), clientRequest) { head in
                wasRefusal = isRefusal?(head.status) ?? false
                return wasRefusal
            }
            backends.leaveCopy(index)
            if wasRefusal { return true }
            tried.insert(index)
            if case .failed(let error) = outcome, error.kind == .unavailable, home == nil, backend.hasAlternative(),
                tried.count < backends.overHTTP.count
            {
                continue
            }
            await finishRequest(clientRequest, outcome, of: forwarded, request)
            return false
        }
    }

    /// The backend that has a session; `nil` if it is not known or not configured any more.
    private func backendIndex(of session: [UInt8]) -> BackendChoice.Index? {
        guard backends.overHTTP.count > 1, let name = affinity.backendName(of: session) else { return nil }
        return backends.overHTTP.firstIndex { $0.name == name }
    }

    private func sendRequest(
        _ request: HTTPServerRequest, to backend: Backend, _ target: [UInt8], _ clientRequest: ClientRequest,
        isRefused: @escaping (HTTPResponseHead) -> Bool
    ) async -> (ForwardedRequest.Completion, ForwardedRequest) {
        let connection = clientRequest.connection
        let forwarded = ForwardedRequest(
            request, to: backend, answering: connection, address: publicAddress(for: request.head, of: backend),
            timeouts: ForwardedRequest.Timeouts(total: settings.requestTimeout, silence: backend.limits.silence))
        if backends.overHTTP.count > 1 {
            // Before the client knows the id, and can send it on another connection.
            forwarded.onResponseHead = { [affinity] head in
                guard let session = head.fields.first(Header.sessionID) else { return }
                affinity.setBackend(of: Array(session.bytes), to: backend.name)
            }
        }
        forwarded.isRefused = isRefused
        if isDraining { forwarded.drainStream() }
        inFlight[ObjectIdentifier(forwarded)] = (forwarded, backend)
        let outcome = await forwarded.relayResponse(
            ForwardedRequest.backendMessage(
                request, target: target, host: backend.host, set: backend.fields,
                origin: settings.callerFields.origin.fieldLines(of: request.head, from: connection.clientAddress)))
        inFlight[ObjectIdentifier(forwarded)] = nil
        if let status = forwarded.status, status == 401 || !forwarded.challenges.isEmpty {
            learnChallenges(forwarded.challenges, status: status, publicAddress(for: request.head, of: backend))
        }
        return (outcome, forwarded)
    }

    private func finishRequest(
        _ clientRequest: ClientRequest, _ outcome: ForwardedRequest.Completion, of forwarded: ForwardedRequest,
        _ request: HTTPServerRequest
    ) async {
        if case .failed(let error) = outcome {
            clientRequest.noteFailure(error)
            let id = await requestID(request)
            clientRequest.rawID = id.map { $0[...] }
            return clientRequest.finishRequest(Refusal(error, hasID: id != nil).map { .refused($0) } ?? .abandoned)
        }
        if case .cut(let error) = outcome { clientRequest.noteFailure(error, on: .backend) }
        clientRequest.finishRequest(.relayed(status: forwarded.status ?? 499, bytes: forwarded.responseBytes))
    }

    // MARK: Authorization

    /// Rewrites the challenges of an error, so that the client is led through Remora.
    func rewriteChallenges(of refusal: Refusal?, to head: HTTPRequestHead) -> Refusal? {
        guard var refusal else { return refusal }
        if refusal.status == 401 { paths.noteChallenge(by: backends.name) }
        guard !refusal.fields.isEmpty else { return refusal }
        // Any of the backends may have sent it. URLs of other origins stay.
        for backend in backends.overHTTP {
            guard let address = publicAddress(for: head, of: backend) else { break }
            refusal = refusal.mappingChallenges { challenge in
                learnChallenges([challenge], status: refusal.status, address)
                return address.rewriteChallenge(challenge)
            }
        }
        return refusal
    }

    /// Notes that the server requires authorization, and the paths of its metadata.
    private func learnChallenges(_ challenges: [[UInt8]], status: Int, _ address: PublicAddress?) {
        if status == 401 { paths.noteChallenge(by: backends.name) }
        guard let address else { return }
        for path in challenges.flatMap({ address.metadataPaths(in: $0) }) {
            paths.addPath(path, as: .resourceMetadata([path]), of: backends.name)
        }
    }

    private func learnPaths(_ named: [(path: String, route: AuthorizationRoute)]) {
        // The endpoint has its public path only.
        for (path, route) in named where path != backendPath { paths.addPath(path, as: route, of: backends.name) }
    }

    /// Reads the server's metadata for its paths. A client may have read it earlier, or elsewhere.
    private func readMetadata(for head: HTTPRequestHead) async {
        let backend = backends.anyCopy()
        guard let address = publicAddress(for: head, of: backend) else { return }
        var servers = [""]
        let resources = [
            AuthorizationRoute.resourcePath + backendPath, AuthorizationRoute.resourcePath,
            backendPath + AuthorizationRoute.resourcePath,
        ]
        for path in resources {
            guard let text = try? await fetchDocument(path, of: backend) else { continue }
            learnPaths(AuthorizationMetadata.namedPaths(in: text, address))
            servers = AuthorizationMetadata.issuerPaths(in: text, address)
            break
        }
        for server in servers.prefix(Forwarder.maxServers) {
            for path in [AuthorizationRoute.serverPath + server, AuthorizationRoute.openIDPath + server] {
                guard let text = try? await fetchDocument(path, of: backend) else { continue }
                learnPaths(AuthorizationMetadata.namedPaths(in: text, address))
                break
            }
        }
    }

    /// Authorization servers in the server's origin whose metadata is read, with two requests each.
    private static let maxServers = 2

    private static func endpointPath(of backend: Backend) -> String {
        String(decoding: backend.target.prefix { $0 != UInt8(ascii: "?") }, as: UTF8.self)
    }

    /// `nil`: the client has sent no host, as HTTP/1.0 allows, or none that is valid.
    private func publicAddress(for head: HTTPRequestHead, of backend: Backend) -> PublicAddress? {
        if let url = settings.publicURL { return publicAddress(url, of: backend) }
        guard let host = head.authority, host.isHost else { return nil }
        return publicAddress(PublicURL(origin: "\(settings.scheme)://\(host.string)", path: settings.path), of: backend)
    }

    private func publicAddress(_ url: PublicURL, of backend: Backend) -> PublicAddress {
        PublicAddress(
            url, host: String(decoding: backend.host, as: UTF8.self), defaultPort: backend.isSecure ? "443" : "80",
            path: Forwarder.endpointPath(of: backend))
    }

    private func serveAuthorization(
        _ route: AuthorizationRoute, _ request: HTTPServerRequest, _ clientRequest: ClientRequest
    ) async {
        do throws(BackendError) {
            let backend = backends.anyCopy()
            guard let address = publicAddress(for: request.head, of: backend) else {
                return clientRequest.finishRequest(.refused(.noMetadata))
            }
            if let path = route.endpointPath {
                guard [.get, .post].contains(request.head.method) else {
                    return clientRequest.finishRequest(.refused(.formOnly))
                }
                guard try await isAuthorizationServer(backend, at: route) else {
                    return clientRequest.finishRequest(.refused(.noMetadata))
                }
                let target = BackendTarget.endpointTarget(Array(path.utf8), query: request.head.query)
                _ = await forwardToBackend(request, clientRequest) { _ in target }
                return
            }
            guard request.head.method == .get else { return clientRequest.finishRequest(.refused(.documentOnly)) }
            guard let text = try await fetchMetadata(route, of: backend, address) else {
                return clientRequest.finishRequest(.refused(.noMetadata))
            }
            clientRequest.finishRequest(.answered(ModernResponse(status: 200, text: SplicedText(text), code: nil)))
        } catch {
            clientRequest.noteFailure(error)
            clientRequest.finishRequest(.refused(Refusal(error, hasID: false) ?? .noMetadata))
        }
    }

    private func fetchMetadata(
        _ route: AuthorizationRoute, of backend: Backend, _ address: PublicAddress
    ) async throws(BackendError) -> [UInt8]? {
        switch route {
        case .endpoint, .namedEndpoint:
            return nil
        case .serverMetadata(let path):
            return try await fetchDocument(path, of: backend).flatMap { text in
                learnPaths(AuthorizationMetadata.namedPaths(in: text, address))
                return AuthorizationMetadata.rewriteServer(text, address)
            }
        case .resourceMetadata(let paths):
            for path in paths {
                guard let text = try await fetchDocument(path, of: backend) else { continue }
                learnPaths(AuthorizationMetadata.namedPaths(in: text, address))
                if let published = AuthorizationMetadata.rewriteResource(
                    text, address, always: settings.publicURL != nil)
                {
                    return published
                }
            }
            // A server of 2025-03-26 (basic/authorization): clients of 2026-07-28 need the document that it lacks.
            return try await fetchDocument(AuthorizationRoute.serverPath, of: backend).map {
                AuthorizationMetadata.resourceMetadata(of: $0, address)
            }
        }
    }

    /// Whether the backend is an authorization server with this endpoint. A default path may belong to anything, so the backend
    /// has to have that metadata, or has to require authorization without any metadata, as the first servers of 2025-03-26 do
    /// (basic/authorization, "Fallbacks for Servers without Metadata Discovery").
    private func isAuthorizationServer(
        _ backend: Backend, at route: AuthorizationRoute
    ) async throws(BackendError) -> Bool {
        if case .namedEndpoint = route { return true }
        if try await fetchDocument(AuthorizationRoute.serverPath, of: backend) != nil { return true }
        guard paths.wantsAuthorization(backends.name) else { return false }
        for path in [AuthorizationRoute.resourcePath + backendPath, AuthorizationRoute.resourcePath] {
            if try await fetchDocument(path, of: backend) != nil { return false }
        }
        return true
    }

    /// The JSON object at a path of the backend; `nil` if there is none. Redirects are not followed.
    private func fetchDocument(_ path: String, of backend: Backend) async throws(BackendError) -> [UInt8]? {
        let (head, body) = try await BackendDocument.getDocument(path, from: backend)
        if head.status >= 500 {
            throw BackendError(.unavailable, "the server answered with HTTP \(head.status)")
        }
        guard head.status == 200, let document = try? JSONDocument(body, maxDepth: settings.maxDepth),
            document.root.kind == .object
        else { return nil }
        return body
    }

    /// The id of a JSON-RPC request; `nil` for anything else.
    private func requestID(_ request: HTTPServerRequest) async -> [UInt8]? {
        guard let document = try? await request.readDocument(maxDepth: settings.maxDepth, on: backends.loop),
            let message = try? Envelope(document), case .request(let id, _) = message.kind
        else { return nil }
        return Array(document.raw(id))
    }
}
