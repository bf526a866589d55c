package import Gateway

/// What the admin listener is told at its start.
package struct AdminSettings: Sendable {
    package var door: Door
    /// Bounds that the page shows beside the numbers.
    package var maxSessions: Int
    package var maxConnections: Int
    package var maxParked: Int
    package var threads: Int
    package var certificates: [CertificateExpiry]

    package init(
        door: Door, maxSessions: Int, maxConnections: Int, maxParked: Int, threads: Int,
        certificates: [CertificateExpiry] = []
    ) {
        self.door = door
        self.maxSessions = maxSessions
        self.maxConnections = maxConnections
        self.maxParked = maxParked
        self.threads = threads
        self.certificates = certificates
    }
}

/// Until when a certificate is good that Remora shows to others.
package struct CertificateExpiry: Sendable {
    /// The key of the configuration that names its file.
    package let setting: String
    /// In seconds since 1970: of the first of its chain that expires.
    package let notAfter: Int

    package init(setting: String, notAfter: Int) {
        self.setting = setting
        self.notAfter = notAfter
    }
}
