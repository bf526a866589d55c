import Crypto
import HTTPTransport
import HTTPWire
import Legacy
import Testing

@testable import Gateway

/// What a loop or a replica tells of a client whose request it forwards.
@Suite struct PeerFieldsTests {
    private static func head(_ field: String) throws -> HTTPRequestHead {
        try parseHead("POST /answer/0 HTTP/1.1\r\nHost: h\r\n\(field)\r\n")
    }

    @Test(arguments: [
        ("Remora-Client-Address: 127.0.0.1\r\n", "127.0.0.1"), ("remora-client-address: fe80::1\r\n", "fe80::1"),
        ("", nil), ("Remora-Client-Address: a host\r\n", nil), ("Remora-Client-Address: 1.2.3.4, x\r\n", nil),
    ])
    func anAddressIsDigits(_ field: String, _ address: String?) throws {
        #expect(PeerAddress.readAddress(try Self.head(field)) == address)
    }

    @Test func aSubjectIsReadAsItWasWritten() throws {
        let subject: [UInt8] = [0, 255, 13, 10, 65]
        let line = try #require(PeerSubject.fieldLine(subject).first)
        let text = "\(String(decoding: line.name, as: UTF8.self)): \(String(decoding: line.value, as: UTF8.self))\r\n"
        #expect(PeerSubject.readSubject(try Self.head(text)) == subject)
        #expect(PeerSubject.readSubject(try Self.head("")) == nil)
        #expect(PeerSubject.readSubject(try Self.head("Remora-Client-Subject: ?\r\n")) == nil)
    }

    @Test func theErrorOfARetrySaysWhetherItWasDelivered() throws {
        let refused = try #require(Refusal(handedOver: PeerResponse.refusalError(401)))
        #expect(refused.status == 503 && refused.side == .remora)
        #expect(refused.data.map { String(decoding: $0, as: UTF8.self) }?.contains("replica_refused") == true)
        let unknown = try #require(Refusal(handedOver: BackendError(.silent, "")))
        #expect(unknown.status == 200)
        #expect(unknown.data.map { String(decoding: $0, as: UTF8.self) }?.contains("outcome_unknown") == true)
        #expect(Refusal(handedOver: .clientLeft) == nil)
    }
}
