import Glibc

extension Format where Value == [UInt8]? {
    /// The path of a file with certificates or a key, which gives its bytes, or `none`.
    ///
    /// - Parameter none: what stands for no file.
    static func pemFile(none: String) -> Format {
        Format { path throws(Refusal) in path == none ? nil : try PEMFile.read(path) }
    }
}

/// A file with certificates or a key in PEM. What is in it is in no message.
private enum PEMFile {
    /// The authorities that a system trusts are 0.2 MiB.
    private static let maxSize = 1 << 20

    static func read(_ path: String) throws(Refusal) -> [UInt8] {
        // Not blocking: to open a pipe would wait for its writer.
        let descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        guard descriptor >= 0 else { throw unreadable(errno) }
        defer { close(descriptor) }
        var status = stat()
        guard unsafe fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFREG else {
            throw Refusal("must be a plain file in PEM")
        }
        guard status.st_size <= maxSize else { throw Refusal("must be a file in PEM of at most 1 MiB") }
        var text = [UInt8](repeating: 0, count: maxSize)
        var count = 0
        while count < maxSize {
            let more = unsafe text.withUnsafeMutableBytes {
                unsafe Glibc.read(descriptor, $0.baseAddress! + count, maxSize - count)
            }
            if more == 0 { break }
            if more > 0 { count += more } else if errno != EINTR { throw unreadable(errno) }
        }
        text.removeLast(maxSize - count)
        return text
    }

    private static func unreadable(_ code: CInt) -> Refusal {
        // `strerror` gives a text that stays until its next call, and is copied here.
        let reason = unsafe String(cString: strerror(code))
        return Refusal("must be a file that Remora can read (\(reason))")
    }
}
