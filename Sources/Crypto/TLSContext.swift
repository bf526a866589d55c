internal import COpenSSL

/// What the TLS connections of a listener or toward a server have in common: certificates, whom to trust, versions. It costs
/// a millisecond to make, and never changes: other files make another.
///
/// TLS 1.2 and 1.3; no compression, and no second handshake on a connection ("renegotiation").
@safe package final class TLSContext: @unchecked Sendable {
    // @unchecked is sound: an SSL_CTX counts its references atomically and locks what connections share, and nothing here
    // changes it after `init`.
    let pointer: OpaquePointer
    let isServer: Bool
    /// When the first certificate of the chain that is shown expires; nil where none is shown.
    package private(set) var notAfter: UnixTime?
    /// Of all that it was made of. A keyed hash, since that includes a private key.
    private var source = KeyedHash.none
    private static let sourceKey = HashKey()

    /// The bytes of a certificate with its chain, leaf first, and of its key, both in PEM.
    package struct Identity {
        package var certificate: [UInt8]
        package var key: [UInt8]

        package init(certificate: [UInt8], key: [UInt8]) {
            self.certificate = certificate
            self.key = key
        }
    }

    /// The system's own configuration of OpenSSL, which it reads when it is first used, may leave it without TLS.
    private init(isServer: Bool) throws(TLSProblem) {
        OpenSSLQueue.clearErrors()
        guard let pointer = unsafe SSL_CTX_new(isServer ? TLS_server_method() : TLS_client_method()) else {
            throw TLSContext.noTLS
        }
        unsafe self.pointer = pointer
        self.isServer = isServer
        guard unsafe remora_SSL_CTX_set_min_proto_version(pointer, TLS1_2_VERSION) == 1 else {
            throw TLSContext.noTLS
        }
        let options = remora_SSL_OP_NO_RENEGOTIATION | remora_SSL_OP_NO_COMPRESSION
        _ = unsafe SSL_CTX_set_options(pointer, options)
        // An idle connection holds no buffers: 34 KB, for each of thousands.
        unsafe remora_SSL_CTX_set_mode(pointer, Int(SSL_MODE_RELEASE_BUFFERS))
        // One step reads one record, of whatever kind: how many are read in a row is for the caller to say.
        unsafe remora_SSL_CTX_clear_mode(pointer, Int(SSL_MODE_AUTO_RETRY))
    }

    deinit { unsafe SSL_CTX_free(pointer) }

    private static var noTLS: TLSProblem {
        TLSProblem(
            .library,
            "cannot be used: OpenSSL has no TLS here (\(OpenSSLQueue.takeWords())); is its own openssl.cnf right?")
    }

    /// For a listener.
    ///
    /// - Parameter clientCA: the authorities, in PEM, one of which must have issued a client's certificate; nil: clients are
    ///   asked for none.
    package static func serverContext(_ identity: Identity, clientCA: [UInt8]?) throws(TLSProblem) -> TLSContext {
        let context = try TLSContext(isServer: true)
        context.noteSource(source: [identity.certificate, identity.key, clientCA])
        try context.useIdentity(identity)
        // In TLS 1.2, those with forward secrecy and authenticated encryption (RFC 9325 §4.2).
        guard unsafe SSL_CTX_set_cipher_list(context.pointer, "ECDHE+AESGCM:ECDHE+CHACHA20") == 1 else { throw noTLS }
        // RFC 7301 §3.2: a client that offers other protocols only is refused.
        unsafe SSL_CTX_set_alpn_select_cb(context.pointer, ApplicationProtocol.select, nil)
        // A client comes back with a ticket: nothing is kept here.
        unsafe remora_SSL_CTX_set_session_cache_mode(context.pointer, Int(SSL_SESS_CACHE_OFF))
        if let clientCA { try context.demandCertificate(by: clientCA) }
        return context
    }

    /// Toward a server, whose certificate is always verified.
    ///
    /// - Parameters:
    ///   - authorities: in PEM, one of which must have issued the server's certificate; nil: those that the system trusts.
    ///   - identity: what it is shown if it asks.
    package static func clientContext(authorities: [UInt8]?, _ identity: Identity?) throws(TLSProblem) -> TLSContext {
        let context = try TLSContext(isServer: false)
        context.noteSource(source: [authorities, identity?.certificate, identity?.key])
        unsafe SSL_CTX_set_verify(context.pointer, SSL_VERIFY_PEER, nil)
        if let authorities {
            for each in try timelyAuthorities(authorities) { try context.trustAuthority(each) }
        } else {
            guard unsafe SSL_CTX_set_default_verify_paths(context.pointer) == 1 else { throw noTLS }
        }
        if let identity { try context.useIdentity(identity) }
        let offer = ApplicationProtocol.wire
        guard unsafe SSL_CTX_set_alpn_protos(context.pointer, offer, UInt32(offer.count)) == 0 else { throw noTLS }
        let mode = SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL
        unsafe remora_SSL_CTX_set_session_cache_mode(context.pointer, Int(mode))
        unsafe SSL_CTX_sess_set_new_cb(context.pointer, TLSSession.gotTicket)
        return context
    }

    private func noteSource(source parts: [[UInt8]?]) {
        var text: [UInt8] = []
        for part in parts {
            // The length keeps apart what would else read alike.
            text += Array("\(part?.count ?? -1):".utf8) + (part ?? [])
        }
        source = TLSContext.sourceKey.hash(text)
    }

    private func useIdentity(_ identity: Identity) throws(TLSProblem) {
        let chain = try Certificate.readAll(in: identity.certificate, .certificate)
        if let why = chain[0].untimeliness { throw TLSProblem(.certificate, why) }
        notAfter = chain.compactMap(\.notAfter).min()
        let key = try PrivateKey(in: identity.key)
        guard unsafe X509_check_private_key(chain[0].pointer, key.pointer) == 1 else {
            OpenSSLQueue.clearErrors()
            throw TLSProblem(.key, "does not belong to the certificate")
        }
        guard unsafe SSL_CTX_use_certificate(pointer, chain[0].pointer) == 1 else {
            throw TLSProblem(.certificate, "is not accepted: \(OpenSSLQueue.takeWords())")
        }
        for each in chain.dropFirst() {
            guard unsafe remora_SSL_CTX_add1_chain_cert(pointer, each.pointer) == 1 else {
                throw TLSProblem(.certificate, "has a chain that is not accepted: \(OpenSSLQueue.takeWords())")
            }
        }
        guard unsafe SSL_CTX_use_PrivateKey(pointer, key.pointer) == 1 else {
            throw TLSProblem(.key, "is not accepted: \(OpenSSLQueue.takeWords())")
        }
    }

    private func demandCertificate(by authorities: [UInt8]) throws(TLSProblem) {
        for each in try TLSContext.timelyAuthorities(authorities) {
            try trustAuthority(each)
            // Named to clients, which choose a certificate by it.
            _ = unsafe SSL_CTX_add_client_CA(pointer, each.pointer)
        }
        unsafe SSL_CTX_set_verify(pointer, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nil)
        // No tickets: each connection shows a certificate that is still good.
        _ = unsafe SSL_CTX_set_options(pointer, remora_SSL_OP_NO_TICKET)
        _ = unsafe SSL_CTX_set_num_tickets(pointer, 0)
    }

    /// The authorities in a text, unless the time of all has passed.
    private static func timelyAuthorities(_ text: [UInt8]) throws(TLSProblem) -> [Certificate] {
        let all = try Certificate.readAll(in: text, .authority)
        let problems = all.compactMap(\.untimeliness)
        if problems.count == all.count { throw TLSProblem(.authority, problems[0]) }
        return all
    }

    private func trustAuthority(_ authority: Certificate) throws(TLSProblem) {
        guard unsafe X509_STORE_add_cert(SSL_CTX_get_cert_store(pointer), authority.pointer) == 1 else {
            throw TLSProblem(.authority, "is not accepted: \(OpenSSLQueue.takeWords())")
        }
    }
}

extension TLSContext: Equatable {
    /// Whether they were made of the same texts. What the system trusts may have changed between them.
    package static func == (left: TLSContext, right: TLSContext) -> Bool {
        left.isServer == right.isServer && left.source == right.source
    }
}

/// `http/1.1` in ALPN (RFC 7301).
private enum ApplicationProtocol {
    static let name = Array("http/1.1".utf8)
    /// As it goes over the wire: each name with its length before it.
    static let wire = [UInt8(name.count)] + name

    /// Takes it where a client offers it.
    static let select:
        @convention(c) (
            OpaquePointer?, UnsafeMutablePointer<UnsafePointer<UInt8>?>?, UnsafeMutablePointer<UInt8>?,
            UnsafePointer<UInt8>?, UInt32, UnsafeMutableRawPointer?
        ) -> Int32 = { _, chosen, length, offered, count, _ in
            let offers = unsafe UnsafeBufferPointer(start: offered, count: Int(count))
            var start = 0
            while start < offers.count {
                let size = unsafe Int(offers[start])
                let end = start + 1 + size
                guard end <= offers.count else { break }
                if unsafe offers[(start + 1)..<end].elementsEqual(ApplicationProtocol.name) {
                    unsafe chosen!.pointee = offered! + start + 1
                    unsafe length!.pointee = UInt8(size)
                    return SSL_TLSEXT_ERR_OK
                }
                start = end
            }
            return SSL_TLSEXT_ERR_ALERT_FATAL
        }
}
