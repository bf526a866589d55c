import TestSupport
import Testing

@testable import Crypto

@Suite struct TLSSessionTests {
    private static let certificates = try? TestCertificates()

    private static func bytes(_ name: String) throws -> [UInt8] { try #require(certificates).bytes(name) }

    private static func identity(_ name: String) throws -> TLSContext.Identity {
        try TLSContext.Identity(certificate: bytes("\(name).pem"), key: bytes("\(name).key"))
    }

    private static func server(clientCA: String? = nil) throws -> TLSContext {
        try .serverContext(identity("server"), clientCA: try clientCA.map { try bytes($0) })
    }

    private static func client(ca: String = "ca.pem", _ identity: TLSContext.Identity? = nil) throws -> TLSContext {
        try .clientContext(authorities: bytes(ca), identity)
    }

    /// The test's certificates are made for two days.
    @Test func aContextKnowsWhenItsCertificateExpires() throws {
        let expected = UnixTime.now + .seconds(2 * 86400)
        let found = try #require(try Self.server().notAfter)
        #expect(abs(found.seconds - expected.seconds) < 600)
        #expect(try Self.client().notAfter == nil)
        #expect(try Self.client(Self.identity("client")).notAfter != nil)
    }

    /// Two ends that exchange bytes until neither has any.
    private final class Pair {
        let server: TLSSession
        let client: TLSSession
        var atServer: TLSSession.Progress = .needsInput
        var atClient: TLSSession.Progress = .needsInput
        /// What was read after that.
        var lastAtClient: TLSSession.Reading = .needsInput

        init(
            _ server: TLSContext, _ client: TLSContext, name: TLSServerName = .name("localhost"),
            tickets: TLSTickets = TLSTickets()
        ) {
            self.server = TLSSession(server: server)
            self.client = TLSSession(client: client, name: name, tickets: tickets)
        }

        /// - Parameter size: bytes that arrive at once.
        func shakeHands(inPartsOf size: Int = .max) {
            for _ in 0..<10 {
                goOnAtClient()
                goOnAtServer()
                let moved = Pair.move(client, server, size, goOnAtServer)
                let back = Pair.move(server, client, size, goOnAtClient)
                if !moved, !back { return }
            }
        }

        private func goOnAtClient() {
            if atClient == .needsInput {
                atClient = client.continueHandshake()
            } else if lastAtClient == .needsInput {
                lastAtClient = Pair.read(client).last
            }
        }

        private func goOnAtServer() {
            if atServer == .needsInput { atServer = server.continueHandshake() }
        }

        /// Hands over what `from` has to send.
        static func move(_ from: TLSSession, _ to: TLSSession, _ size: Int = .max, _ onPart: () -> Void = {}) -> Bool {
            var bytes: [UInt8] = []
            while from.unsentBytes > 0 {
                _ = from.flushOutput {
                    bytes.append(contentsOf: $0)
                    return $0.count
                }
            }
            var rest = bytes[...]
            while !rest.isEmpty {
                let part = Array(rest.prefix(size))
                rest = rest.dropFirst(part.count)
                part.withUnsafeBytes {
                    to.receiveRecords($0)
                    onPart()
                    to.stashInput()
                }
            }
            return !bytes.isEmpty
        }

        static func write(_ bytes: [UInt8], on session: TLSSession) { bytes.withUnsafeBytes { session.writeText($0) } }

        static func read(_ session: TLSSession) -> (bytes: [UInt8], last: TLSSession.Reading) {
            var found: [UInt8] = []
            var buffer = [UInt8](repeating: 0, count: TLSSession.maxRecord)
            while true {
                let reading = buffer.withUnsafeMutableBytes { session.readRecord(into: $0) }
                switch reading {
                case .bytes(let count): found += buffer[..<count]
                case .control: break
                case .needsInput, .ended, .failed: return (found, reading)
                }
            }
        }
    }

    @Test(arguments: [.max, 1, 7, 1000]) func bytesGoBothWays(inPartsOf size: Int) throws {
        let pair = try Pair(Self.server(), Self.client())
        pair.shakeHands(inPartsOf: size)
        #expect(pair.atClient == .done && pair.atServer == .done)
        #expect(pair.server.version == "TLSv1.3" && pair.server.applicationProtocol == "http/1.1")
        _ = Pair.read(pair.client)
        for (from, to) in [(pair.client, pair.server), (pair.server, pair.client)] {
            let text = (0..<100_000).map { UInt8(truncatingIfNeeded: $0 &* 31 >> 3) }
            Pair.write(text, on: from)
            #expect(from.unsentBytes > text.count)
            var found: [UInt8] = []
            _ = Pair.move(from, to, size) { found += Pair.read(to).bytes }
            #expect(found.count == text.count && found.elementsEqual(text))
        }
    }

    @Test func theEndIsTold() throws {
        let pair = try Pair(Self.server(), Self.client())
        pair.shakeHands()
        _ = Pair.read(pair.client)
        Pair.write([1, 2, 3], on: pair.client)
        pair.client.endOutput()
        pair.client.endOutput()
        Pair.write([4], on: pair.client)
        _ = Pair.move(pair.client, pair.server)
        let (bytes, last) = Pair.read(pair.server)
        #expect(bytes == [1, 2, 3] && last == .ended)
        // The other half stays open.
        Pair.write([9], on: pair.server)
        _ = Pair.move(pair.server, pair.client)
        #expect(Pair.read(pair.client).bytes == [9])
    }

    @Test func whatComesBeforeTheEndOfAHandshakeIsNotSaid() throws {
        let session = TLSSession(client: try Self.client(), name: .name("localhost"), tickets: TLSTickets())
        session.endOutput()
        #expect(session.unsentBytes == 0)
    }

    struct Refused: Sendable, CustomTestStringConvertible {
        let testDescription: String
        var ca = "ca.pem"
        var name = TLSServerName.name("localhost")
        var clientCA: String?
        var identity: String?
        var atClient: String?
        var atServer: String?
    }

    @Test(arguments: [
        Refused(
            testDescription: "another authority", ca: "other.pem",
            atClient: "the server's certificate was refused: unable to get local issuer certificate",
            atServer: "the client refused: tlsv1 alert unknown ca"),
        Refused(
            testDescription: "another name", name: .name("example.com"),
            atClient: "the server's certificate was refused: hostname mismatch",
            atServer: "the client refused: sslv3 alert bad certificate"),
        Refused(
            testDescription: "another address", name: .address("127.0.0.2"),
            atClient: "the server's certificate was refused: IP address mismatch",
            atServer: "the client refused: sslv3 alert bad certificate"),
        Refused(
            testDescription: "no certificate", clientCA: "ca.pem", atServer: "the client sent no certificate"),
        Refused(
            testDescription: "a certificate of another authority", clientCA: "ca.pem", identity: "other",
            atServer: "the client's certificate was refused: self-signed certificate"),
        Refused(
            testDescription: "a certificate for servers only... is good here", clientCA: "ca.pem", identity: "server"),
    ])
    func aRefusalSaysWhy(_ example: Refused) throws {
        let pair = try Pair(
            Self.server(clientCA: example.clientCA),
            Self.client(ca: example.ca, try example.identity.map { try Self.identity($0) }), name: example.name)
        pair.shakeHands()
        for (side, expected) in [(pair.atClient, example.atClient), (pair.atServer, example.atServer)] {
            if let expected {
                #expect(side == .failed(TLSError(expected, isRefusal: true)))
            } else {
                #expect(side == .done)
            }
        }
        // In TLS 1.3 a client hears later that its certificate is not good.
        if example.clientCA != nil, let reason = example.atServer {
            guard case .failed(let error) = pair.lastAtClient else {
                throw TLSError("it went well: \(reason)")
            }
            #expect(error.isRefusal && error.reason.hasPrefix("the server refused: "))
        }
    }

    @Test(arguments: [
        ("GET / HTTP/1.1\r\n\r\n", "plain HTTP came where TLS is spoken"),
        ("{\"jsonrpc\":\"2.0\"}", "what the client sent is not TLS"),
        ("SSH-2.0-x\r\n", "what the client sent is not TLS"),
        ("CONNECT x:1 HTTP/1.1\r\n\r\n", "plain HTTP came where TLS is spoken"),
    ])
    func whatIsNotTLSIsRefused(_ text: String, _ reason: String) throws {
        let session = TLSSession(server: try Self.server())
        var progress = TLSSession.Progress.done
        Array(text.utf8).withUnsafeBytes {
            session.receiveRecords($0)
            progress = session.continueHandshake()
        }
        #expect(progress == .failed(TLSError(reason, isRefusal: true)))
        // Nothing more comes of it.
        session.endOutput()
        Pair.write([1], on: session)
        guard case .failed = Pair.read(session).last else { throw TLSError("it was read on") }
    }

    /// Hostile bytes in place of a handshake, and in the middle of one.
    @Test func garbageIsRefusedOrWaitedFor() throws {
        var generator = SystemRandomNumberGenerator()
        let (context, clients) = (try Self.server(), try Self.client())
        for round in 0..<1000 {
            let session = TLSSession(server: context)
            var bytes: [UInt8] = round % 2 == 0 ? [22, 3, 1, 0, UInt8.random(in: 0...255, using: &generator), 1] : []
            if round % 3 == 0 {
                let client = TLSSession(client: clients, name: .name("localhost"), tickets: TLSTickets())
                _ = client.continueHandshake()
                bytes = client.output
                bytes[Int.random(in: 0..<bytes.count, using: &generator)] ^=
                    1 << UInt8.random(in: 0..<8, using: &generator)
            }
            bytes += (0..<Int.random(in: 0...300, using: &generator)).map { _ in
                UInt8.random(in: 0...255, using: &generator)
            }
            bytes.withUnsafeBytes {
                session.receiveRecords($0)
                #expect(session.continueHandshake() != .done)
                session.stashInput()
            }
        }
    }

    @Test func aChangedRecordIsAnError() throws {
        let pair = try Pair(Self.server(), Self.client())
        pair.shakeHands()
        Pair.write(Array("hello".utf8), on: pair.client)
        var record = pair.client.output
        record[record.count - 1] ^= 1
        record.withUnsafeBytes {
            pair.server.receiveRecords($0)
            let (bytes, last) = Pair.read(pair.server)
            #expect(bytes.isEmpty && last == .failed(TLSError("decryption failed or bad record mac")))
        }
    }

    @Test func aTicketSparesAHandshake() throws {
        let (server, client, tickets) = (try Self.server(), try Self.client(), TLSTickets())
        for round in 0..<3 {
            let pair = Pair(server, client, tickets: tickets)
            pair.shakeHands()
            // The tickets come behind the handshake.
            #expect(Pair.read(pair.client).last == .needsInput)
            #expect(pair.client.isResumed == (round > 0) && pair.server.isResumed == (round > 0))
            #expect(tickets.count > 0 && tickets.count <= 8)
            pair.client.endOutput()
        }
        // Another context has other keys: a ticket of the old one costs nothing but the handshake.
        let pair = Pair(try Self.server(), client, tickets: tickets)
        pair.shakeHands()
        #expect(pair.atClient == .done && !pair.client.isResumed)
    }

    /// Each connection brings new tickets: without an end to it, a certificate would never be looked at again.
    @Test func aCertificateIsLookedAtAgain() throws {
        let (server, client, tickets) = (try Self.server(), try Self.client(), TLSTickets())
        let pair = Pair(server, client, tickets: tickets)
        pair.shakeHands()
        pair.client.endOutput()
        let count = tickets.count
        #expect(count > 0)
        var uses = 0
        tickets.useTicket(at: .now + .seconds(3500)) { _ in uses += 1 }
        #expect(uses == 1 && tickets.count == count - 1)
        tickets.useTicket(at: .now + .seconds(3700)) { _ in uses += 1 }
        #expect(uses == 1 && tickets.count == 0)
    }

    @Test func whoShowsACertificateShowsItAnew() throws {
        let (server, tickets) = (try Self.server(clientCA: "ca.pem"), TLSTickets())
        let client = try Self.client(try Self.identity("client"))
        for _ in 0..<2 {
            let pair = Pair(server, client, tickets: tickets)
            pair.shakeHands()
            _ = Pair.read(pair.client)
            #expect(pair.atServer == .done && !pair.server.isResumed && tickets.count == 0)
            let subject = try #require(pair.server.peerSubject)
            #expect(String(decoding: subject, as: UTF8.self).contains("client"))
        }
        let other = Pair(server, try Self.client(try Self.identity("server")))
        other.shakeHands()
        let subject = try #require(other.server.peerSubject)
        #expect(String(decoding: subject, as: UTF8.self).contains("localhost"), "the alternative names too")
        let none = Pair(try Self.server(), client)
        none.shakeHands()
        #expect(none.server.peerSubject == nil, "it was not asked for")
    }

    // MARK: Files

    private func problem(_ body: () throws(TLSProblem) -> TLSContext) -> TLSProblem? {
        do throws(TLSProblem) {
            _ = try body()
            return nil
        } catch {
            return error
        }
    }

    /// A server whose files say the same as before is the same.
    @Test func contextsOfTheSameTextsAreEqual() throws {
        #expect(try Self.server() == Self.server())
        #expect(try Self.server() != Self.server(clientCA: "ca.pem"))
        #expect(try Self.client() == Self.client())
        #expect(try Self.client() != Self.client(Self.identity("client")))
        #expect(try Self.client() != TLSContext.clientContext(authorities: nil, nil))
        #expect(try TLSContext.clientContext(authorities: nil, nil) == TLSContext.clientContext(authorities: nil, nil))
    }

    @Test func filesThatCannotBeUsedSayWhy() throws {
        let (certificate, key) = (try Self.bytes("server.pem"), try Self.bytes("server.key"))
        func server(_ certificate: [UInt8], _ key: [UInt8], _ ca: [UInt8]? = nil) -> TLSProblem? {
            problem { () throws(TLSProblem) in
                try .serverContext(TLSContext.Identity(certificate: certificate, key: key), clientCA: ca)
            }
        }
        let none = "has no certificate in it: it must be PEM, with -----BEGIN CERTIFICATE-----"
        #expect(server([], key) == TLSProblem(.certificate, none))
        #expect(server(key, key) == TLSProblem(.certificate, none))
        #expect(server(certificate, key, []) == TLSProblem(.authority, none))
        let torn = Array(certificate.prefix(certificate.count / 2))
        #expect(server(torn, key)?.reason.hasPrefix("has a certificate that cannot be read: ") == true)
        #expect(
            server(certificate, certificate)
                == TLSProblem(.key, "has no private key in it: it must be PEM, with -----BEGIN PRIVATE KEY-----"))
        #expect(
            server(certificate, try Self.bytes("client.key")) == TLSProblem(.key, "does not belong to the certificate"))
        #expect(server(certificate, key, try Self.bytes("ca.pem")) == nil)
        // One file may hold both.
        #expect(server(key + certificate, certificate + key) == nil)
    }

    @Test func aKeyIsNotAskedForItsPassword() throws {
        let certificates = try #require(Self.certificates)
        try certificates.run([
            "pkey", "-in", certificates.path("server.key"), "-aes128", "-passout", "pass:x", "-out",
            certificates.path("locked.key"),
        ])
        let identity = TLSContext.Identity(
            certificate: try Self.bytes("server.pem"), key: try Self.bytes("locked.key"))
        #expect(
            problem { () throws(TLSProblem) in try .serverContext(identity, clientCA: nil) }
                == TLSProblem(.key, "is encrypted, and Remora cannot ask for its password: decrypt it"))
    }
}
