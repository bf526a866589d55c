import Server

/// What the command line asks for.
enum Command {
    case run(ConfigurationSource)
    case check(ConfigurationSource)
    case demo(once: Bool)
    case keygen
    case schema
    case completion(Completion)
    /// What Remora starts beside itself: see `Warden`.
    case warden
    case version
    /// With the name of a command: of that one.
    case help(String?)
    case mistake(String)

    init(_ arguments: ArraySlice<String>) {
        var options = Options(arguments)
        if arguments.contains("--help") || arguments.contains("-h") {
            self = .help(arguments.first.flatMap { CommandForm.names.contains($0) ? $0 : nil })
            return
        }
        switch arguments.first {
        case WardenStart.argument where arguments.count == 1: self = .warden
        case "version", "--version": self = .version
        case "help":
            options.dropOption()
            let name = options.takeWord()
            self =
                if let mistake = options.mistake {
                    .mistake(mistake)
                } else if let name, !CommandForm.names.contains(name) {
                    .mistake("there is no command \(name)")
                } else {
                    .help(name)
                }
        case "demo":
            options.dropOption()
            let once = options.takeFlag("--once")
            self = options.mistake.map(Command.mistake) ?? .demo(once: once)
        case "keygen":
            options.dropOption()
            self = options.mistake.map(Command.mistake) ?? .keygen
        case "schema":
            options.dropOption()
            self = options.mistake.map(Command.mistake) ?? .schema
        case "completion":
            options.dropOption()
            let shell = options.takeWord().flatMap(Completion.init)
            let advice = "say for which shell: \(Completion.names.joined(separator: ", "))"
            self = options.mistake.map(Command.mistake) ?? shell.map(Command.completion) ?? .mistake(advice)
        case "check":
            options.dropOption()
            self = Command.configurationSource(&options, then: Command.check)
        case nil: self = .mistake("nothing to do")
        default: self = Command.configurationSource(&options, then: Command.run)
        }
    }

    private static func configurationSource(
        _ options: inout Options, then make: (ConfigurationSource) -> Command
    ) -> Command {
        let file = options.takeValue("-c")
        let backend = options.takeValue("--backend")
        let listen = options.takeValue("--listen")
        if let mistake = options.mistake { return .mistake(mistake) }
        switch (file, backend) {
        case (let file?, nil) where listen == nil: return make(.file(file))
        case (nil, let backend?): return make(.backend(url: backend, listen: listen))
        case (nil, nil): return .mistake("say which configuration: -c FILE or --backend URL")
        default: return .mistake("-c FILE has the whole configuration: it goes with no other option")
        }
    }
}

/// Arguments that have not been understood yet.
private struct Options {
    private var rest: ArraySlice<String>
    private var missingValue: String?

    init(_ arguments: ArraySlice<String>) { rest = arguments }

    mutating func dropOption() { rest = rest.dropFirst() }

    mutating func takeWord() -> String? { rest.popFirst() }

    mutating func takeFlag(_ name: String) -> Bool {
        guard let index = rest.firstIndex(of: name) else { return false }
        rest.remove(at: index)
        return true
    }

    mutating func takeValue(_ name: String) -> String? {
        guard let index = rest.firstIndex(of: name) else { return nil }
        rest.remove(at: index)
        guard index < rest.endIndex else {
            missingValue = name
            return nil
        }
        return rest.remove(at: index)
    }

    /// What is wrong with what was given; call it after everything known was taken.
    var mistake: String? {
        if let missingValue { return "\(missingValue) needs a value" }
        return rest.first.map { "unknown argument \($0)" }
    }
}
