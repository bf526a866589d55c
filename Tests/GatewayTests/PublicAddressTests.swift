import Testing

@testable import Gateway

/// The backend's URLs, and what clients get to see of them.
@Suite struct PublicAddressTests {
    private static let address = PublicAddress(
        PublicURL(origin: "https://mcp.example.com", path: "/public"), host: "127.0.0.1:9000", path: "/mcp")

    @Test(
        arguments: [
            ("http://127.0.0.1:9000/mcp", "https://mcp.example.com/public"),
            ("http://localhost:9000/mcp", "https://mcp.example.com/public"),
            ("HTTP://LOCALHOST:9000/mcp", "https://mcp.example.com/public"),
            ("http://[::1]:9000/mcp?a=b", "https://mcp.example.com/public?a=b"),
            ("http://127.0.0.1:9000", "https://mcp.example.com"),
            ("http://127.0.0.1:9000/", "https://mcp.example.com/"),
            ("http://127.0.0.1:9000/token#x", "https://mcp.example.com/token#x"),
            ("http://127.0.0.1:9000/mcp/", "https://mcp.example.com/mcp/"),
            (
                "http://127.0.0.1:9000/.well-known/oauth-protected-resource/mcp",
                "https://mcp.example.com/.well-known/oauth-protected-resource/public"
            ),
            (
                "http://127.0.0.1:9000/mcp/.well-known/oauth-protected-resource",
                "https://mcp.example.com/public/.well-known/oauth-protected-resource"
            ),
            ("http://127.0.0.1/mcp", nil), ("http://127.0.0.1:9001/mcp", nil), ("http://127.0.0.2:9000/mcp", nil),
            ("https://auth.example.com:9000/", nil), ("http://127.0.0.1:9000.evil.com/", nil),
            ("http://127.0.0.1:9000@evil.com/", nil), ("http://evil.com/?http://127.0.0.1:9000/", nil),
            ("ftp://127.0.0.1:9000/", nil), ("http:/127.0.0.1:9000/", nil), ("/mcp", nil), ("", nil), ("http", nil),
        ])
    func onlyTheBackendsOwnArePublished(url: String, published: String?) {
        #expect(Self.address.rewriteURL(url) == published)
    }

    @Test func aPortMayBeTheSchemesOwn() {
        let address = PublicAddress(PublicURL(origin: "http://p", path: "/"), host: "b.example", path: "/")
        #expect(address.rewriteURL("http://B.example:80/x") == "http://p/x")
        #expect(address.rewriteURL("http://b.example/x") == "http://p/x")
        #expect(address.rewriteURL("https://b.example/x") == nil)
        #expect(address.rewriteURL("http://localhost/x") == nil)
    }

    private static let own = "http://127.0.0.1:9000/.well-known/oauth-protected-resource/mcp"
    private static let new = "https://mcp.example.com/.well-known/oauth-protected-resource/public"

    @Test(
        arguments: [
            (#"Bearer resource_metadata="\#(own)""#, #"Bearer resource_metadata="\#(new)""#),
            (
                #"Bearer error="invalid_token", resource_metadata="\#(own)", scope="a b""#,
                #"Bearer error="invalid_token", resource_metadata="\#(new)", scope="a b""#
            ),
            (#"Bearer Resource_Metadata = "\#(own)""#, #"Bearer Resource_Metadata = "\#(new)""#),
            (#"Bearer resource_metadata=\#(own), x=y"#, #"Bearer resource_metadata="\#(new)", x=y"#),
            (
                #"Basic realm="a", Bearer resource_metadata="\#(own)", DPoP resource_metadata="\#(own)""#,
                #"Basic realm="a", Bearer resource_metadata="\#(new)", DPoP resource_metadata="\#(new)""#
            ),
        ])
    func aChallengeLeadsThroughRemora(challenge: String, published: String) {
        #expect(String(decoding: Self.address.rewriteChallenge(Array(challenge.utf8)), as: UTF8.self) == published)
    }

    @Test(
        arguments: [
            "", "Bearer", #"Bearer realm="resource_metadata=\#(own)""#, #"Bearer realm="a\"b, resource_metadata=x""#,
            #"Bearer resource_metadata="https://auth.example.com/x""#, #"Bearer resource_metadata"#,
            #"Bearer resource_metadata="#, #"Bearer resource_metadata=""#, #"Bearer resource_metadata="unended"#,
            #"Bearer x_resource_metadata="\#(own)""#, #"Bearer resource_metadata_x="\#(own)""#, #"Bearer a="\"#,
        ])
    func anythingElseStaysAsItIs(challenge: String) {
        #expect(String(decoding: Self.address.rewriteChallenge(Array(challenge.utf8)), as: UTF8.self) == challenge)
    }

    // MARK: Documents

    private func text(_ bytes: [UInt8]?) -> String? { bytes.map { String(decoding: $0, as: UTF8.self) } }

    @Test func theResourceIsThePublicOne() {
        let document = """
            {"resource": "http://localhost:9000/mcp", "authorization_servers": ["https://auth.example.com/",
            "http://127.0.0.1:9000"], "scopes_supported": ["http"], "n": 1.0, "nested": {"resource": "http://localhost:9000/mcp"}}
            """
        let published = """
            {"resource": "https://mcp.example.com/public", "authorization_servers": ["https://auth.example.com/",
            "https://mcp.example.com"], "scopes_supported": ["http"], "n": 1.0, "nested": {"resource": "http://localhost:9000/mcp"}}
            """
        #expect(
            text(AuthorizationMetadata.rewriteResource(Array(document.utf8), Self.address, always: false)) == published)
    }

    @Test(arguments: [(false, "https://elsewhere.example/mcp"), (true, "https://mcp.example.com/public")])
    func aResourceOfAnotherOriginIsReplacedWhereThePublicURLIsConfigured(always: Bool, resource: String) {
        let document = #"{"resource":"https://elsewhere.example/mcp"}"#
        #expect(
            text(AuthorizationMetadata.rewriteResource(Array(document.utf8), Self.address, always: always))
                == #"{"resource":"\#(resource)"}"#)
    }

    @Test func theServerIsWhereItsMetadataIs() {
        let document = #"{"issuer":"http://localhost:9000","token_endpoint":"http://localhost:9000/token","x":null}"#
        #expect(
            text(AuthorizationMetadata.rewriteServer(Array(document.utf8), Self.address))
                == #"{"issuer":"https://mcp.example.com","token_endpoint":"https://mcp.example.com/token","x":null}"#)
    }

    @Test(arguments: ["", "[]", "1", "{", "<html>"]) func whatIsNoObjectIsNoDocument(text: String) {
        #expect(AuthorizationMetadata.rewriteServer(Array(text.utf8), Self.address) == nil)
    }

    @Test(
        arguments: [
            ("{}", "https://mcp.example.com"), (#"{"issuer":1}"#, "https://mcp.example.com"),
            (#"{"issuer":"http://127.0.0.1:9000/"}"#, "https://mcp.example.com/"),
            (#"{"issuer":"https://auth.example.com"}"#, "https://auth.example.com"),
        ])
    func aResourceWithoutADocumentGetsOne(server: String, issuer: String) {
        #expect(
            text(AuthorizationMetadata.resourceMetadata(of: Array(server.utf8), Self.address))
                == #"{"resource":"https://mcp.example.com/public","authorization_servers":["\#(issuer)"]}"#)
    }
}
