internal import Glibc

/// Words for the person who started the program, as opposed to the log.
package enum Console {
    /// Writes to standard output.
    package static func say(_ text: String) { put(text, STDOUT_FILENO) }

    /// Writes to standard error.
    package static func complain(_ text: String) { put(text, STDERR_FILENO) }

    private static func put(_ text: String, _ descriptor: Int32) {
        // Lines are ours; what is in them may come from a file, a server or an argument.
        let bytes = Array((text.visible(keeping: ["\n", "\t"]) + "\n").utf8)
        var done = 0
        while done < bytes.count {
            let written = unsafe bytes.withUnsafeBytes {
                unsafe write(descriptor, $0.baseAddress! + done, bytes.count - done)
            }
            if written <= 0, errno != EINTR { return }
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
