internal import Glibc

/// Words for the person who started the program, as opposed to the log.
package enum Console {
    /// How long a terminal may take to read on. The text is lost then, and the program goes on.
    private static let patience: Int32 = 2000
    /// What a pipe takes without waiting when it says that there is room. The descriptor's flags are others' too: it is left
    /// as it is.
    private static let maxPart = 4096

    /// Writes to standard output.
    package static func say(_ text: String) { putText(text, STDOUT_FILENO) }

    /// Writes to standard error.
    package static func complain(_ text: String) { putText(text, STDERR_FILENO) }

    private static func putText(_ text: String, _ descriptor: Int32) {
        // Lines are ours; what is in them may come from a file, a server or an argument.
        let bytes = Array((text.visibleText(keeping: ["\n", "\t"]) + "\n").utf8)
        var done = 0
        while done < bytes.count {
            var room = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
            let found = unsafe poll(&room, 1, patience)
            if found < 0, errno == EINTR { continue }
            if found <= 0 { return }
            let written = unsafe bytes.withUnsafeBytes {
                unsafe write(descriptor, $0.baseAddress! + done, min(maxPart, bytes.count - done))
            }
            if written <= 0, errno != EINTR, errno != EAGAIN { return }
            done += max(0, written)
        }
    }
}

/// Ends the process.
package enum Exit {
    /// A mistake in the command line or in the configuration (`EX_USAGE` of sysexits.h).
    package static func usage() -> Never { exit(64) }

    /// Something outside that Remora needs is not there.
    package static func failure() -> Never { exit(1) }
}
