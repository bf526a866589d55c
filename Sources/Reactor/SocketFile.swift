internal import Glibc

/// The file that a listening Unix socket has, from `bindFile` until it is removed.
struct SocketFile {
    private let path: String
    private let device: dev_t
    private let inode: ino_t

    /// Binds a new socket, which takes no connection before `listen`.
    ///
    /// A file that a dead process left is replaced. One that is listened on is in use, and what is no socket is never
    /// touched.
    ///
    /// - Parameter mode: who may connect, as far as writing is allowed.
    static func bindFile(_ path: String, mode: UInt32) throws(SystemError) -> (fd: Int32, file: SocketFile) {
        let address = SocketAddress(unixPath: path)
        let fd = socket(AF_UNIX, streamSocket | nonBlocking, 0)
        guard fd >= 0 else { throw SystemError("socket") }
        do throws(SystemError) {
            if unsafe address.withSockaddr({ unsafe Glibc.bind(fd, $0, $1) }) != 0 {
                guard errno == EADDRINUSE, try isStale(path, address) else {
                    throw SystemError("bind", code: EADDRINUSE)
                }
                _ = unsafe unlink(path)
                if unsafe address.withSockaddr({ unsafe Glibc.bind(fd, $0, $1) }) != 0 { throw SystemError("bind") }
            }
            if unsafe chmod(path, mode_t(mode)) != 0 { throw SystemError("chmod") }
            guard let status = fileStatus(of: path) else { throw SystemError("stat") }
            return (fd, SocketFile(path: path, device: status.st_dev, inode: status.st_ino))
        } catch {
            _ = Glibc.close(fd)
            throw error
        }
    }

    /// Whether no process listens on the socket at `path` any more.
    private static func isStale(_ path: String, _ address: SocketAddress) throws(SystemError) -> Bool {
        guard let status = fileStatus(of: path), status.st_mode & S_IFMT == S_IFSOCK else {
            throw SystemError("bind", reason: "there is a file of that name that is no socket")
        }
        let probe = socket(AF_UNIX, streamSocket | nonBlocking, 0)
        guard probe >= 0 else { throw SystemError("socket") }
        defer { _ = Glibc.close(probe) }
        let failure = unsafe address.withSockaddr { unsafe Glibc.connect(probe, $0, $1) }
        // A full backlog (EAGAIN) has a listener, too.
        return failure != 0 && errno == ECONNREFUSED
    }

    private static func fileStatus(of path: String) -> stat? {
        var status = stat()
        return unsafe lstat(path, &status) == 0 ? status : nil
    }

    /// Removes the file, unless another has taken its place.
    func removeFile() {
        guard let status = SocketFile.fileStatus(of: path), status.st_dev == device, status.st_ino == inode else {
            return
        }
        _ = unsafe unlink(path)
    }
}
