import Configuration
import Glibc
import Reactor

/// Looks on this machine for what a command of the configuration needs.
enum CommandCheck {
    /// What is missing, and what to do about it; nil where nothing is.
    static func missingPart(of command: Configuration.Backend.Command) -> String? {
        if let directory = command.directory, !isDirectory(directory) {
            return "backends[0].cwd: there is no directory \(directory.quotedForMessage); create it, or name another"
        }
        let child = ChildCommand(
            arguments: command.arguments, adding: command.environment, directory: command.directory)
        let program = child.name.quotedForMessage
        guard let path = child.path else {
            return
                "backends[0].command: there is no program \(program) in PATH; install it, write its whole path, or set PATH "
                + "in backends[0].env"
        }
        let isRelative = !path.hasPrefix("/")
        let place = isRelative ? (command.directory.map { "\($0)/" } ?? "") + path : path
        guard unsafe access(place, F_OK) == 0 else {
            let base =
                isRelative ? ", looked for in \(command.directory?.quotedForMessage ?? "the working directory")" : ""
            return "backends[0].command: there is no program \(program)\(base); install it, or correct the path"
        }
        guard unsafe access(place, X_OK) == 0, !isDirectory(place) else {
            return "backends[0].command: \(program) cannot be run; name a program, and let it be run by chmod +x"
        }
        return nil
    }

    private static func isDirectory(_ path: String) -> Bool {
        var status = stat()
        return unsafe stat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFDIR
    }
}

extension String {
    /// In quotes, and without what could steer a terminal.
    fileprivate var quotedForMessage: String { "\"\(String(unicodeScalars.prefix(200)).printable)\"" }
}
