import Crypto

extension Format where Value == [UInt8] {
    /// The path of a file with a key; gives the key.
    static var keyFile: Format { Format(.file) { path throws(FormatError) in try KeyFile.readKey(path) } }
}

/// A file with a key of the ring.
private enum KeyFile {
    static func readKey(_ path: String) throws(FormatError) -> [UInt8] {
        let file: SmallFile
        do throws(SmallFile.Flaw) {
            file = try SmallFile(path, maxSize: KeyText.maxSize)
        } catch {
            switch error {
            case .unreadable(let reason):
                throw FormatError("must be a file that can be read (\(reason)): make it by remora keygen")
            case .notPlain: throw FormatError("must be a plain file, such as remora keygen makes")
            case .tooLarge: throw noKey
            }
        }
        guard file.mode & 0o007 == 0 else {
            throw FormatError(
                "must be a file that not everybody can read or write: chmod 600, or defaultMode: 0400 of a Secret "
                    + "in Kubernetes")
        }
        guard let key = KeyText.readKey(file.bytes) else { throw noKey }
        return key
    }

    private static var noKey: FormatError {
        FormatError(
            "must be a file with \(KeyRing.keySize) random bytes in base64 or hexadecimal and nothing else: make it "
                + "by remora keygen")
    }
}
