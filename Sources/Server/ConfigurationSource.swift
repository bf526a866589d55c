package import Configuration
import Telemetry

/// Where the configuration comes from.
package enum ConfigurationSource {
    case file(String)
    case backend(url: String, listen: String?)

    /// The configuration; ends the process with every mistake in it, if there is one.
    package func loadConfiguration() -> Configuration {
        let result =
            switch self {
            case .file(let path): Configuration.loadConfiguration(path: path)
            case .backend(let url, let listen): Configuration.forBackend(url: url, listen: listen)
            }
        switch result {
        case .success(let configuration): return configuration
        case .failure(let errors):
            Console.complain("\(errors)")
            Exit.usage()
        }
    }

    /// Checks the configuration, and that what it starts is on this machine; ends the process with every mistake in it, if there is
    /// one.
    package func checkConfiguration() {
        let configuration = loadConfiguration()
        guard case .command(let command) = configuration.backend.place,
            let missing = CommandCheck.missingPart(of: command)
        else { return }
        Console.complain(missing)
        Exit.usage()
    }
}
