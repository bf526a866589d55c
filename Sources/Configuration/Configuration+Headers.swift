extension Configuration {
    /// Header fields of requests to the backend, beside those that Remora writes by itself and `sessions.isolate_by`.
    package struct BackendHeaders: Sendable, Equatable {
        /// Names of fields of clients' requests that go to the server, in lower case: 32 at most. Each is part of the
        /// principal.
        package var forward: [String] = []
        /// Fields that go with every request, in the place of the client's own: 32 at most.
        package var set: [Field] = []
        /// Fields that tell the server where a request came from.
        package var add: [Origin] = []

        package struct Field: Sendable, Equatable {
            /// In lower case.
            package var name: String
            /// May be a secret. It has no control character but HTAB, and no space around it (RFC 9110 §5.5).
            package var value: String
        }

        package enum Origin: String, Sendable, CaseIterable {
            case forwardedFor = "x-forwarded-for"
            case forwardedProto = "x-forwarded-proto"
            case forwardedHost = "x-forwarded-host"
            /// RFC 7239.
            case forwarded
        }
    }
}

extension Configuration.BackendHeaders {
    /// A head has 100 lines at most, and most of those are for others.
    private static let maxFields = 32

    init(_ section: inout Section) {
        // None: what a client sends to Remora does not go to the server until the operator says so.
        forward = section.listValues("forward", of: .forwardedField, default: [], whole: Self.checkNames)
        // None.
        let values = section.mappingEntries("set", of: .setField, to: .any)
        // None.
        let files = section.mappingEntries("set_from", of: .setField, to: .fieldFile)
        // None: most servers make nothing of it, and some believe whatever it says.
        add = section.listValues("add", of: .choice, default: [], whole: Self.checkAdded)
        set = (values + files).map { Field(name: $0.name, value: $0.value) }
        checkFields(section, given: values.count)
    }

    private static func checkNames(_ names: [String]) throws(FormatError) {
        guard names.count <= maxFields else { throw FormatError("must name at most \(maxFields) fields") }
        guard Set(names).count == names.count else {
            throw FormatError("must name each field once (names are compared without regard to case)")
        }
    }

    private static func checkAdded(_ fields: [Origin]) throws(FormatError) {
        guard Set(fields).count == fields.count else { throw FormatError("must name each field once") }
    }

    /// Values of ``set`` are in no message: most are secrets.
    ///
    /// - Parameter given: how many of them the configuration itself has, and not a file.
    private func checkFields(_ section: Section, given: Int) {
        let names = set.map(\.name)
        if names.count > Self.maxFields { section.refuseValue("set", "must have at most \(Self.maxFields) fields") }
        for (index, field) in set.enumerated() {
            let key = index < given ? "set" : "set_from"
            if names[..<index].contains(field.name) {
                section.refuseValue(
                    "set",
                    "and set_from must have each field once (names are compared without regard to case): "
                        + "\(field.name) is there twice")
            }
            if forward.contains(field.name) {
                section.refuseValue(
                    key,
                    "must not have \(field.name), which headers.forward takes from the client: remove one of them")
            }
            if add.contains(where: { $0.rawValue == field.name }) {
                section.refuseValue(key, "must not have \(field.name), which headers.add makes: remove one of them")
            }
            if !field.value.isFieldValue {
                section.refuseValue(
                    "set",
                    "must have a text without control characters, and without spaces around it, for \(field.name)")
            }
        }
    }
}
