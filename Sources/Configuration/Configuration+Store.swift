extension Configuration {
    /// Redis or Valkey, in which replicas find each other.
    package struct Store: Sendable, Equatable {
        package var url: StoreURL
        /// Nil: it asks for none.
        package var password: String?
        /// What the names of all entries begin with.
        package var prefix: String
        /// Nil: it is spoken to in the clear.
        package var tls: BackendTLS?

        /// What the sections that go with it are told.
        enum Presence {
            case none, given
            /// It was reported: what goes with it, or would be needed without it, is not.
            case faulty
        }
    }

    private enum WhenUnreachable: String, Sendable, CaseIterable {
        case goOn = "go_on"
    }
}

extension Configuration.Store {
    /// Nil where there is no store, or where something is wrong, which is reported.
    ///
    /// - Parameter isNeeded: whether replicas have sessions in common there.
    static func readSection(_ section: inout Section, isNeeded: Bool) -> Configuration.Store? {
        // Off: one machine needs none.
        let url = readURL(&section)
        // None: a store on a socket or on loopback has none unless it is told to.
        let password = section.secretValue("password")
        // What tells its entries from those of other programs, when a person looks.
        let prefix = section.value("prefix", .storePrefix, default: "remora:")
        // Calls go on without it. Answers of clients do not, whatever this says.
        _ = section.value("when_unreachable", .choice, default: Configuration.WhenUnreachable.goOn)
        let tls = section.readNested("tls") { section in
            Configuration.BackendTLS.readSection(&section, for: url.map(BackendURL.init))
        }
        guard section.isFaultless, let url else {
            if section.isFaultless, password != nil {
                section.refuseSecret("password", "is of no use without store.url: add it")
            } else if section.isFaultless, isNeeded {
                section.refuseValue(
                    "url", "is missing: sessions.shared needs a store; add one, such as `url: redis://127.0.0.1:6379/0`"
                )
            }
            return nil
        }
        return Configuration.Store(url: url, password: password, prefix: prefix, tls: tls)
    }

    /// A message shows what it refuses, and a URL with a password in it must not be shown.
    private static func readURL(_ section: inout Section) -> StoreURL? {
        guard section.hasText("@", in: "url") else { return section.value("url", .storeURL, default: nil) }
        _ = section.secretValue("url")
        section.refuseSecret(
            "url",
            "must have no user name and no password: write the password in store.password, such as "
                + "`password: ${REDIS_PASSWORD}`")
        return nil
    }
}

extension BackendURL {
    /// What TLS needs to know of a store.
    fileprivate init(_ url: StoreURL) {
        self.init(
            host: url.host, port: url.port, target: "/", hostField: url.host, isSecure: url.isSecure,
            socketPath: url.socketPath)
    }
}

extension Format where Value == StoreURL? {
    /// `off`, or the URL of a store.
    fileprivate static var storeURL: Format {
        Format(.pattern("^(rediss?://[^?#@]+|unix:/.+)$").orWords("off")) { text throws(FormatError) in
            text == "off" ? nil : try StoreURL(parsing: text)
        }
    }
}

extension Format where Value == String {
    /// What names of entries begin with.
    fileprivate static var storePrefix: Format {
        Format(.pattern("^[!-~]{1,64}$", orWord: true)) { text throws(FormatError) in
            guard (1...64).contains(text.utf8.count), text.utf8.allSatisfy({ (0x21...0x7E).contains($0) }) else {
                throw FormatError("must be 1 to 64 characters of ASCII without spaces, such as \"remora:\"")
            }
            return text
        }
    }
}
