/// The shells that Remora has completions for, each of which is a script for the shell to read.
enum Completion: String, CaseIterable {
    case bash, zsh, fish

    static let names = allCases.map(\.rawValue)

    var script: String {
        switch self {
        case .bash: Self.bashScript
        case .zsh: Self.zshScript
        case .fish: Self.fishScript
        }
    }

    private static let commands = CommandForm.all.filter { !$0.name.isEmpty }
    /// Without a command, all of these may come.
    private static let runOptions = CommandForm.all.filter(\.name.isEmpty).flatMap(\.options)

    private static func words(_ options: [CommandForm.Option]) -> String {
        options.flatMap { option in
            switch option {
            case .flag(let name, _), .file(let name, _), .value(let name, _): [name]
            case .word(let words): words
            }
        }.joined(separator: " ")
    }

    private static var bashScript: String {
        let cases = commands.filter { !$0.options.isEmpty }
            .map { "        \($0.name)) words=\"\(words($0.options))\" ;;\n" }.joined()
        return """
            # Completions of remora for bash.
            _remora() {
                local current=${COMP_WORDS[COMP_CWORD]} words=
                COMPREPLY=()
                if [[ ${COMP_WORDS[COMP_CWORD - 1]} == -c ]]; then
                    compopt -o filenames
                    mapfile -t COMPREPLY < <(compgen -f -- "$current")
                    return
                fi
                case ${COMP_WORDS[1]} in
            \(cases)        -*) words="\(words(runOptions))" ;;
                esac
                if ((COMP_CWORD == 1)); then words="\(commands.map(\.name).joined(separator: " ")) \(words(runOptions))"; fi
                mapfile -t COMPREPLY < <(compgen -W "$words" -- "$current")
            }
            complete -F _remora remora
            """
    }

    private static var zshScript: String {
        func arguments(_ options: [CommandForm.Option]) -> String {
            "_arguments "
                + options.map { option in
                    switch option {
                    case .flag(let name, let text): "'\(name)[\(text)]'"
                    case .file(let name, let text): "'\(name)[\(text)]:file:_files'"
                    case .value(let name, let text): "'\(name)[\(text)]:value:'"
                    case .word(let words): "'1:shell:(\(words.joined(separator: " ")))'"
                    }
                }.joined(separator: " ")
        }
        let names = commands.map { "        '\($0.name):\($0.summary[0].filter { $0 != ";" })'\n" }.joined()
        let cases = commands.filter { !$0.options.isEmpty }
            .map { "        \($0.name)) shift words; ((CURRENT -= 1)); \(arguments($0.options)) ;;\n" }.joined()
        return """
            #compdef remora
            # Completions of remora for zsh.
            _remora() {
                local -a commands=(
            \(names)    )
                if ((CURRENT == 2)); then _describe command commands; fi
                case $words[2] in
            \(cases)        -*) \(arguments(runOptions)) ;;
                esac
            }
            if [[ $funcstack[1] == _remora ]]; then _remora "$@"; else compdef _remora remora; fi
            """
    }

    private static var fishScript: String {
        func lines(_ options: [CommandForm.Option], when condition: String) -> [String] {
            options.map { option in
                func named(_ name: String, _ text: String) -> String {
                    (name.hasPrefix("--") ? "-l \(name.dropFirst(2))" : "-s \(name.dropFirst())") + " -d '\(text)'"
                }
                let rest =
                    switch option {
                    case .flag(let name, let text): named(name, text)
                    case .file(let name, let text): named(name, text) + " -r -F"
                    case .value(let name, let text): named(name, text) + " -x"
                    case .word(let words): "-a '\(words.joined(separator: " "))'"
                    }
                return "complete -c remora -n '\(condition)' \(rest)"
            }
        }
        let names = commands.map {
            "complete -c remora -n __fish_use_subcommand -a \($0.name) -d '\($0.summary[0].filter { $0 != ";" })'"
        }
        let options = commands.flatMap { lines($0.options, when: "__fish_seen_subcommand_from \($0.name)") }
        let all = names + lines(runOptions, when: "__fish_use_subcommand") + options
        return "# Completions of remora for fish.\ncomplete -c remora -f\n" + all.joined(separator: "\n")
    }
}
