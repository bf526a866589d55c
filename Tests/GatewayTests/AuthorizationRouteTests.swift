import Testing

@testable import Gateway

/// Which paths beside the endpoint lead to the backend: these, and no others.
@Suite struct AuthorizationRouteTests {
    private func route(_ path: String) -> AuthorizationRoute? {
        AuthorizationRoute(Array(path.utf8)[...], publicPaths: ["/mcp", "/public"], backendPath: "/server")
    }

    private static let resource = "/.well-known/oauth-protected-resource"
    private static let server = "/.well-known/oauth-authorization-server"

    @Test(arguments: ["/mcp", "/public"]) func theDocumentOfTheEndpoint(path: String) {
        #expect(
            route(Self.resource + path)
                == .resourceMetadata([Self.resource + "/server", Self.resource, "/server" + Self.resource]))
        #expect(route(path + Self.resource) == .resourceMetadata(["/server" + Self.resource]))
    }

    @Test func theOthers() {
        #expect(route(Self.resource) == .resourceMetadata([Self.resource]))
        #expect(route(Self.server) == .serverMetadata(Self.server))
        #expect(route(Self.server + "/mcp") == .serverMetadata(Self.server + "/server"))
        #expect(route(Self.server + "/tenant/a.b") == .serverMetadata(Self.server + "/tenant/a.b"))
        let openID = "/.well-known/openid-configuration"
        #expect(route(openID + "/tenant") == .serverMetadata(openID + "/tenant"))
        for path in ["/authorize", "/token", "/register"] { #expect(route(path) == .endpoint(path)) }
    }

    @Test(
        arguments: [
            "", "/", "*", "/mcp", "/admin", "/tokens", "/token/", "/Token", "/authorize/x", "/.well-known/",
            "/.well-known/other", "/.well-known/oauth-protected-resource/",
            "/.well-known/oauth-protected-resource/server", "/server/.well-known/oauth-protected-resource",
            "/mcp/.well-known/oauth-authorization-server", "/mcp/.well-known/oauth-protected-resource/",
            "/.well-known/oauth-protected-resource/mcp/", "/.well-known/oauth-protected-resourcex",
            "/.well-known/oauth-authorization-serverx", "/.well-known/oauth-authorization-server/",
            "/.well-known/oauth-authorization-server/..", "/.well-known/oauth-authorization-server/../../admin",
            "/.well-known/oauth-authorization-server/./x", "/.well-known/oauth-authorization-server//x",
            "/.well-known/oauth-authorization-server/%2e%2e/admin", "/.well-known/oauth-authorization-server/a;b",
            "/.well-known/oauth-authorization-server/a\\b", "/x/.well-known/oauth-authorization-server",
        ])
    func anyOtherPathLeadsNowhere(path: String) {
        #expect(route(path) == nil)
    }
}
