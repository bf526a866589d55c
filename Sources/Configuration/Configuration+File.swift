import Glibc

extension Configuration {
    /// The bytes of a file, cut off a little after `maxFileBytes`; `-` is standard input.
    ///
    /// - Parameter mayWait: whether a pipe will do as well, as shells give for `<(...)`: one may have to wait for its writer.
    static func readFile(_ path: String, mayWait: Bool = true) -> Result<[UInt8], ConfigurationErrors> {
        let file = path == "-" ? "/dev/stdin" : path
        let descriptor = unsafe open(file, O_RDONLY | O_CLOEXEC | (mayWait ? 0 : O_NONBLOCK))
        guard descriptor >= 0 else { return .failure(unreadableFile(path, errno)) }
        defer { close(descriptor) }
        guard mayWait || isPlain(descriptor) else {
            let message = "is no plain file, and only such can be read anew: start Remora with the path of a file"
            return .failure(ConfigurationErrors(file: path, message: message))
        }
        var text: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 64 << 10)
        while text.count <= maxFileBytes {
            // `readFile` writes no more than the count it is given, which is the chunk's.
            let count = unsafe chunk.withUnsafeMutableBytes { unsafe Glibc.read(descriptor, $0.baseAddress, $0.count) }
            if count == 0 { break }
            if count > 0 {
                text += chunk[..<count]
            } else if errno != EINTR {
                return .failure(unreadableFile(path, errno))
            }
        }
        return .success(text)
    }

    /// Whether it is read without waiting: of a pipe, a terminal or the like it is not known when there is something to read. A
    /// directory is none of these, and says so itself.
    private static func isPlain(_ descriptor: CInt) -> Bool {
        var status = stat()
        guard unsafe fstat(descriptor, &status) == 0 else { return false }
        return [S_IFREG, S_IFDIR].contains(status.st_mode & S_IFMT)
    }

    private static func unreadableFile(_ path: String, _ code: CInt) -> ConfigurationErrors {
        let advice =
            switch code {
            case ENOENT: "check the path after -c, or start without a file by remora --backend URL"
            case EACCES: "let the user that Remora runs as read it"
            case EISDIR: "give the path of the file in it"
            default: "check the path after -c"
            }
        // `strerror` gives a text that stays until its next call, and is copied here.
        let reason = unsafe String(cString: strerror(code))
        return ConfigurationErrors(file: path, message: "cannot be read (\(reason)): \(advice)")
    }
}
