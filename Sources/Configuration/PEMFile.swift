extension Format where Value == [UInt8]? {
    /// The path of a file with certificates or a key, which gives its bytes, or `none`.
    ///
    /// - Parameter none: what stands for no file.
    static func pemFile(none: String) -> Format {
        Format(.file) { path throws(FormatError) in path == none ? nil : try PEMFile.readPEM(path) }
    }
}

/// A file with certificates or a key in PEM.
private enum PEMFile {
    /// The authorities that a system trusts are 0.2 MiB.
    private static let maxSize = 1 << 20

    static func readPEM(_ path: String) throws(FormatError) -> [UInt8] {
        do throws(SmallFile.Flaw) {
            return try SmallFile(path, maxSize: maxSize).bytes
        } catch {
            switch error {
            case .unreadable(let reason): throw FormatError("must be a file that Remora can read (\(reason))")
            case .notPlain: throw FormatError("must be a plain file in PEM")
            case .tooLarge: throw FormatError("must be a file in PEM of at most 1 MiB")
            }
        }
    }
}
