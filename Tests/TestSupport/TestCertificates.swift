import Foundation

/// Certificates of a test, made when it runs: an authority, and what it has issued.
package final class TestCertificates: Sendable {
    private let directory = "/tmp/remora-certificates-\(UUID().uuidString.prefix(8))"

    package init() throws {
        try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
        try make("ca", "/CN=test authority", [])
        try make("server", "/CN=localhost", issued + ["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"])
        try make("client", "/O=Tests/CN=client", issued)
        try make("other", "/CN=another authority", [])
    }

    deinit { try? FileManager.default.removeItem(atPath: directory) }

    private var issued: [String] {
        ["-CA", "\(directory)/ca.pem", "-CAkey", "\(directory)/ca.key", "-addext", "basicConstraints=CA:FALSE"]
    }

    private func make(_ name: String, _ subject: String, _ options: [String]) throws {
        try run(
            [
                "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj",
                subject,
            ]
                + ["-keyout", "\(directory)/\(name).key", "-out", "\(directory)/\(name).pem"] + options)
    }

    package func run(_ arguments: [String]) throws {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = ["openssl"] + arguments
        process.standardError = FileHandle.nullDevice
        process.standardOutput = FileHandle.nullDevice
        try process.run()
        process.waitUntilExit()
        guard process.terminationStatus == 0 else { throw Failure(arguments: arguments) }
    }

    package struct Failure: Error { let arguments: [String] }

    package func path(_ name: String) -> String { "\(directory)/\(name)" }

    /// The bytes of `ca.pem`, `server.pem`, `server.key` and so on.
    package func bytes(_ name: String) throws -> [UInt8] {
        try Array(Data(contentsOf: URL(fileURLWithPath: path(name))))
    }
}
