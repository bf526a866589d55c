import Crypto
import Glibc

extension Format where Value == [UInt8] {
    /// The path of a file with a key; gives the key.
    static var keyFile: Format { Format { path throws(Refusal) in try KeyFile.read(path) } }
}

/// A file with a key of the ring. What is in it is in no message.
enum KeyFile {
    static func read(_ path: String) throws(Refusal) -> [UInt8] {
        // Not blocking: to open a pipe would wait for its writer.
        let descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        guard descriptor >= 0 else {
            // `strerror` gives a text that stays until its next call, and is copied here.
            let reason = unsafe String(cString: strerror(errno))
            throw Refusal("must be a file that can be read (\(reason)): make it by remora keygen")
        }
        defer { close(descriptor) }
        var status = stat()
        guard unsafe fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFREG else {
            throw Refusal("must be a plain file, such as remora keygen makes")
        }
        guard status.st_mode & 0o007 == 0 else {
            throw Refusal(
                "must be a file that not everybody can read or write: chmod 600, or defaultMode: 0400 of a Secret "
                    + "in Kubernetes")
        }
        var text = [UInt8](repeating: 0, count: KeyText.maxSize + 1)
        let count = unsafe text.withUnsafeMutableBytes { unsafe Glibc.read(descriptor, $0.baseAddress, $0.count) }
        guard count >= 0, let key = KeyText.read(Array(text.prefix(count))) else {
            throw Refusal(
                "must be a file with \(KeyRing.keySize) random bytes in base64 or hexadecimal and nothing else: make it "
                    + "by remora keygen")
        }
        return key
    }
}
