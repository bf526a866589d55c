extension Configuration {
    /// What is logged, and how.
    package struct Log: Sendable, Equatable {
        /// The least severe level that is written.
        package var level: Level
        package var format: Format

        /// Severity, the most severe first.
        package enum Level: String, Sendable, CaseIterable {
            case error, warning, info, debug
        }

        /// How one line is written.
        package enum Format: String, Sendable, CaseIterable {
            /// One JSON object a line.
            case json
            /// For a person at a terminal.
            case text
        }
    }
}

extension Configuration.Log {
    init(_ section: inout Section) {
        // One line a request. Debug tells more than production logs should hold.
        level = section.value("level", .choice, default: .info)
        // A sidecar's log is read by a collector first.
        format = section.value("format", .choice, default: .json)
    }
}
