package import Crypto

extension Configuration {
    /// TLS toward clients. Its files were read with the configuration.
    package struct ListenTLS: Sendable, Equatable {
        package var context: TLSContext
        /// Whether a client must show a certificate.
        package var demandsCertificate: Bool
    }

    /// TLS toward the backend. Its files were read with the configuration.
    package struct BackendTLS: Sendable, Equatable {
        package var context: TLSContext
        /// What the backend's certificate must be for.
        package var name: TLSServerName
    }
}

extension Configuration.ListenTLS {
    /// Nil where clients are spoken to in the clear, or where something is wrong, which is reported.
    static func readSection(_ section: inout Section) -> Configuration.ListenTLS? {
        // Off: a sidecar is reached over loopback, and there is no certificate for that.
        let certificate = section.value("certificate", .pemFile(none: "off"), default: nil)
        let key = section.value("key", .pemFile(none: "off"), default: nil)
        // Off: who may call is the server's to say, by `Authorization`.
        let clientCA = section.value("client_ca", .pemFile(none: "off"), default: nil)
        guard section.isFaultless else { return nil }
        guard let identity = section.tlsIdentity(certificate, key) else {
            if clientCA != nil, certificate == nil, key == nil {
                section.refuseValue(
                    "client_ca", "is of no use without listen.tls.certificate and listen.tls.key: add them")
            }
            return nil
        }
        do throws(TLSProblem) {
            let context = try TLSContext.serverContext(identity, clientCA: clientCA)
            return Configuration.ListenTLS(context: context, demandsCertificate: clientCA != nil)
        } catch {
            section.refuseTLS(error, authorities: "client_ca")
            return nil
        }
    }
}

extension Configuration.BackendTLS {
    /// - Parameter url: nil where it is faulty.
    static func readSection(_ section: inout Section, for url: BackendURL?) -> Configuration.BackendTLS? {
        // The system's: what every other program on the machine trusts.
        let authorities = section.value("ca", .pemFile(none: "system"), default: nil)
        // Off: few servers ask.
        let certificate = section.value("certificate", .pemFile(none: "off"), default: nil)
        let key = section.value("key", .pemFile(none: "off"), default: nil)
        // Of the URL: a certificate is for the name by which the server is reached.
        let name = section.value("server_name", .serverName, default: nil)
        guard section.isFaultless, let url else { return nil }
        let identity = section.tlsIdentity(certificate, key)
        guard section.isFaultless else { return nil }
        guard url.isSecure else {
            let given = ["ca": authorities != nil, "certificate": identity != nil, "server_name": name != nil]
            for key in given.keys.sorted() where given[key] == true {
                section.refuseValue(key, "is of no use for a URL without TLS: write https://, or remove it")
            }
            return nil
        }
        do throws(TLSProblem) {
            return Configuration.BackendTLS(
                context: try TLSContext.clientContext(authorities: authorities, identity), name: name ?? url.serverName)
        } catch {
            section.refuseTLS(error, authorities: "ca")
            return nil
        }
    }
}

extension Section {
    /// A certificate and its key; nil where neither is given, or only one, which is reported.
    fileprivate func tlsIdentity(_ certificate: [UInt8]?, _ key: [UInt8]?) -> TLSContext.Identity? {
        switch (certificate, key) {
        case (nil, nil):
            return nil
        case (let certificate?, let key?):
            return TLSContext.Identity(certificate: certificate, key: key)
        case (_?, nil):
            refuseValue("key", "is missing: add the file with the key of the certificate")
        case (nil, _?):
            refuseValue("certificate", "is missing: add the file with the certificate that the key belongs to")
        }
        return nil
    }

    /// - Parameter authorities: the key that names the file with them.
    fileprivate func refuseTLS(_ problem: TLSProblem, authorities: String) {
        switch problem.part {
        case .certificate: refuseValue("certificate", problem.reason)
        case .key: refuseValue("key", problem.reason)
        case .authority: refuseValue(authorities, problem.reason)
        case .library: refuseSection(problem.reason)
        }
    }
}

extension Format where Value == TLSServerName? {
    /// A name or a numeric address, or `auto`.
    static var serverName: Format {
        Format(.text) { text throws(FormatError) in
            if text == "auto" { return nil }
            guard let authority = Authority(text.contains(":") && !text.hasPrefix("[") ? "[\(text)]" : text),
                authority.port == nil
            else { throw FormatError("must be a host name or a numeric address, such as mcp.example.com, or auto") }
            return TLSServerName(authority.host, isName: authority.kind == .name)
        }
    }
}

extension BackendURL {
    fileprivate var serverName: TLSServerName { TLSServerName(host, isName: Authority(host)?.kind == .name) }
}

extension TLSServerName {
    /// - Parameter host: without brackets. The dot at the end of a name is none of its certificate's.
    fileprivate init(_ host: String, isName: Bool) {
        self = isName ? .name(host.hasSuffix(".") ? String(host.dropLast()) : host) : .address(host)
    }
}
