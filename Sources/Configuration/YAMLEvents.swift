import CYAML

/// What libyaml found next in a document, copied out of its memory.
struct YAMLEvent {
    enum Kind {
        case streamStart, streamEnd
        case documentStart, documentEnd
        /// `isPlain`: written without quotes and not as a block.
        case scalar(String, isPlain: Bool)
        case alias
        case listStart, listEnd, mappingStart, mappingEnd
    }

    let kind: Kind
    /// Where it begins, in Unicode scalars from the start of the text.
    let position: Int
    let hasAnchor: Bool
    let hasTag: Bool
}

/// libyaml cannot go on: the text is not YAML.
struct YAMLSyntaxError: Error {
    /// What libyaml says about it.
    let problem: String
    /// What it was reading meanwhile, such as "while parsing a block mapping".
    let context: String?
    let location: SourceText.Location
    /// Where that began; nil where there is no context.
    var start: SourceText.Location?
}

/// The events of one YAML text, in order, by libyaml.
@safe
struct YAMLEvents: ~Copyable {
    // All three live on the heap, since libyaml keeps their addresses from call to call. They are freed by `deinit`
    // and by nothing else.
    private let parser: UnsafeMutablePointer<yaml_parser_t>
    private let event: UnsafeMutablePointer<yaml_event_t>
    private let input: UnsafeMutableBufferPointer<UInt8>

    /// `text` is UTF-8 without a byte order mark.
    init(_ text: [UInt8]) {
        unsafe parser = .allocate(capacity: 1)
        unsafe event = .allocate(capacity: 1)
        unsafe event.initialize(to: yaml_event_t())
        unsafe input = .allocate(capacity: text.count)
        _ = unsafe input.initialize(fromContentsOf: text)
        let isReady = unsafe yaml_parser_initialize(parser) == 1
        // Nothing but memory is wanted here, some kilobytes.
        precondition(isReady, "out of memory")
        // Given, so that libyaml does not guess at UTF-16, whose positions would not be ours.
        unsafe yaml_parser_set_encoding(parser, YAML_UTF8_ENCODING)
        unsafe yaml_parser_set_input_string(parser, input.baseAddress, input.count)
    }

    deinit {
        unsafe yaml_event_delete(event)
        unsafe yaml_parser_delete(parser)
        unsafe event.deallocate()
        unsafe parser.deallocate()
        unsafe input.deallocate()
    }

    /// The next event; not to be called again after `streamEnd` or an error.
    mutating func nextEvent() throws(YAMLSyntaxError) -> YAMLEvent {
        // Sound on the zeroed first one too: there is nothing to free in it.
        unsafe yaml_event_delete(event)
        guard unsafe yaml_parser_parse(parser, event) == 1 else {
            throw syntaxError
        }
        var hasAnchor = false
        var hasTag = false
        let kind: YAMLEvent.Kind
        // Each member of the union is read only where the type says that it is the one in use.
        switch unsafe event.pointee.type {
        case YAML_STREAM_START_EVENT:
            kind = .streamStart
        case YAML_STREAM_END_EVENT:
            kind = .streamEnd
        case YAML_DOCUMENT_START_EVENT:
            kind = .documentStart
        case YAML_DOCUMENT_END_EVENT:
            kind = .documentEnd
        case YAML_ALIAS_EVENT:
            kind = .alias
        case YAML_SCALAR_EVENT:
            let scalar = unsafe event.pointee.data.scalar
            let bytes = unsafe UnsafeBufferPointer(start: scalar.value, count: scalar.length)
            kind = unsafe .scalar(
                String(decoding: bytes, as: UTF8.self), isPlain: scalar.style == YAML_PLAIN_SCALAR_STYLE)
            hasAnchor = unsafe scalar.anchor != nil
            hasTag = unsafe scalar.tag != nil
        case YAML_SEQUENCE_START_EVENT:
            let start = unsafe event.pointee.data.sequence_start
            kind = .listStart
            hasAnchor = unsafe start.anchor != nil
            hasTag = unsafe start.tag != nil
        case YAML_MAPPING_START_EVENT:
            let start = unsafe event.pointee.data.mapping_start
            kind = .mappingStart
            hasAnchor = unsafe start.anchor != nil
            hasTag = unsafe start.tag != nil
        case YAML_SEQUENCE_END_EVENT:
            kind = .listEnd
        case YAML_MAPPING_END_EVENT:
            kind = .mappingEnd
        default:
            // libyaml gives an event as long as it has not said that the text has ended.
            throw YAMLSyntaxError(problem: "the text ends too early", context: nil, location: .scalar(0))
        }
        let position = unsafe event.pointee.start_mark.index
        return YAMLEvent(kind: kind, position: position, hasAnchor: hasAnchor, hasTag: hasTag)
    }

    private var syntaxError: YAMLSyntaxError {
        let failed = unsafe parser.pointee
        // libyaml's texts are literals in the library.
        return unsafe YAMLSyntaxError(
            problem: failed.problem.map { unsafe String(cString: $0) } ?? "out of memory",
            context: failed.context.map { unsafe String(cString: $0) },
            // The reader, which decodes UTF-8, is ahead of the rest and counts bytes.
            location: failed.error == YAML_READER_ERROR
                ? .byte(Int(failed.problem_offset)) : .scalar(Int(failed.problem_mark.index)),
            start: failed.context == nil ? nil : .scalar(Int(failed.context_mark.index)))
    }
}
