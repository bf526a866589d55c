import Reactor
import Testing

@testable import Gateway

/// What servers have named: that, and nothing else.
@Suite struct AuthorizationPathsTests {
    private let paths = AuthorizationPaths()
    private let server = Array("server".utf8)

    private func route(_ path: String, _ server: String = "server") -> AuthorizationRoute? {
        paths.authorizationRoute(of: Array(path.utf8)[...], at: Array(server.utf8))
    }

    @Test func whatWasNamedIsKnown() {
        #expect(route("/oauth/token") == nil)
        paths.addPath("/oauth/token", as: .namedEndpoint("/oauth/token"), of: server)
        #expect(route("/oauth/token") == .namedEndpoint("/oauth/token"))
        #expect(route("/oauth/token/") == nil && route("/oauth") == nil && route("/OAUTH/token") == nil)
    }

    @Test(
        arguments: [
            "", "/", "token", "//evil", "/a//b", "/../a", "/a/..", "/a/.", "/a?b", "/a#b", "/a%2e", "/a;b", "/a b",
            "/é",
            "/" + String(repeating: "a", count: 512),
        ])
    func whatIsNoPlainPathIsNot(path: String) {
        paths.addPath(path, as: .namedEndpoint(path), of: server)
        #expect(route(path) == nil)
    }

    @Test func anotherServerStartsAnew() {
        paths.addPath("/a", as: .namedEndpoint("/a"), of: server)
        paths.noteChallenge(by: server)
        #expect(route("/a", "other") == nil && !paths.wantsAuthorization(Array("other".utf8)))
        paths.addPath("/b", as: .namedEndpoint("/b"), of: Array("other".utf8))
        #expect(route("/a") == nil && route("/b", "other") != nil && !paths.wantsAuthorization(server))
    }

    @Test func aServerNamesSoMany() {
        for number in 0..<100 { paths.addPath("/\(number)", as: .namedEndpoint("/\(number)"), of: server) }
        #expect(route("/63") != nil && route("/64") == nil)
        // What is known may still change what it stands for.
        paths.addPath("/0", as: .serverMetadata("/0"), of: server)
        #expect(route("/0") == .serverMetadata("/0"))
    }

    @Test func aPathMayHaveASlashAtItsEnd() {
        paths.addPath("/oauth/token/", as: .namedEndpoint("/oauth/token/"), of: server)
        #expect(route("/oauth/token/") == .namedEndpoint("/oauth/token/") && route("/oauth/token") == nil)
        paths.addPath("/oauth//", as: .namedEndpoint("/oauth//"), of: server)
        #expect(route("/oauth//") == nil)
    }

    /// Clients choose for which resources a server names documents.
    @Test func documentsLeaveRoomForEndpoints() {
        for number in 0..<100 { paths.addPath("/d\(number)", as: .resourceMetadata(["/d\(number)"]), of: server) }
        #expect(route("/d31") != nil && route("/d32") == nil)
        for number in 0..<100 { paths.addPath("/e\(number)", as: .namedEndpoint("/e\(number)"), of: server) }
        #expect(route("/e31") != nil && route("/e32") == nil)
    }

    @Test func metadataIsReadRarely() {
        let now = Instant.now
        #expect(!paths.mayReadMetadata(of: server, at: now) && !paths.beginReadingMetadata(of: server, at: now))
        paths.noteChallenge(by: server)
        #expect(paths.mayReadMetadata(of: server, at: now) && paths.mayReadMetadata(of: server, at: now))
        #expect(paths.beginReadingMetadata(of: server, at: now) && !paths.beginReadingMetadata(of: server, at: now))
        #expect(!paths.mayReadMetadata(of: server, at: now + .seconds(9)))
        #expect(paths.beginReadingMetadata(of: server, at: now + .seconds(10)))
    }
}
