import Crypto
import TestSupport
import Testing

@testable import Reactor

/// TLS between the two ends of a test.
enum TestTLS {
    private static let certificates = try? TestCertificates()

    private static func bytes(_ name: String) throws -> [UInt8] { try #require(certificates).bytes(name) }

    static func listener(
        timeout: Duration = .seconds(5), onRefusal: @escaping @Sendable (TLSError) -> Void = { _ in }
    ) throws -> ListenerTLS {
        let identity = try TLSContext.Identity(certificate: bytes("server.pem"), key: bytes("server.key"))
        return ListenerTLS(try .serverContext(identity, clientCA: nil), timeout: timeout) { onRefusal($1) }
    }

    static func client(name: TLSServerName = .address("127.0.0.1")) throws -> TLSClient {
        TLSClient(ServerTLS(try .clientContext(authorities: bytes("ca.pem"), nil), name: name))
    }
}
