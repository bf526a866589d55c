import Glibc

/// A file that the configuration names, with certificates or a key. What is in it is in no message.
struct SmallFile {
    /// Why there is none.
    enum Flaw: Error {
        /// With the system's words.
        case unreadable(String)
        /// A directory, a pipe or the like.
        case notPlain
        case tooLarge
    }

    let bytes: [UInt8]
    let mode: mode_t

    /// Reads a file of at most so many bytes.
    init(_ path: String, maxSize: Int) throws(Flaw) {
        // Not blocking: to open a pipe would wait for its writer.
        let descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        guard descriptor >= 0 else { throw SmallFile.unreadableFlaw(errno) }
        defer { close(descriptor) }
        var status = stat()
        guard unsafe fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFREG else { throw .notPlain }
        guard status.st_size <= maxSize else { throw .tooLarge }
        mode = status.st_mode
        var text = [UInt8](repeating: 0, count: maxSize)
        var count = 0
        while count < maxSize {
            // `read` writes no more than the count it is given, which is what is left.
            let more = unsafe text.withUnsafeMutableBytes {
                unsafe Glibc.read(descriptor, $0.baseAddress! + count, maxSize - count)
            }
            if more == 0 { break }
            if more > 0 { count += more } else if errno != EINTR { throw SmallFile.unreadableFlaw(errno) }
        }
        text.removeLast(maxSize - count)
        bytes = text
    }

    private static func unreadableFlaw(_ code: CInt) -> Flaw {
        // `strerror` gives a text that stays until its next call, and is copied here.
        .unreadable(unsafe String(cString: strerror(code)))
    }
}
