package import JSONText
import MCP

/// The trace that a request belongs to, on its way through: W3C Trace Context and W3C Baggage, in `_meta` (2026-07-28,
/// basic/index, "OpenTelemetry trace context"; SEP-414) and in header fields of the same names.
///
/// Remora records no spans, so it makes no parent of its own: what came is forwarded unchanged, as both texts ask of
/// those who take no part in a trace. The server is told the same in `_meta` and in the header.
package struct TraceContext: Sendable {
    /// What a client's header says, with field lines of one name joined by commas (RFC 9110 section 5.2).
    package struct Headers: Sendable {
        /// Nil when there is none, and when there are several: which one counts would be for each reader to guess.
        package var traceparent: ArraySlice<UInt8>?
        package var tracestate: ArraySlice<UInt8>?
        package var baggage: ArraySlice<UInt8>?

        package init(
            traceparent: ArraySlice<UInt8>? = nil, tracestate: ArraySlice<UInt8>? = nil,
            baggage: ArraySlice<UInt8>? = nil
        ) {
            self.traceparent = traceparent
            self.tracestate = tracestate
            self.baggage = baggage
        }
    }

    /// A key of `_meta` that is a field name too, and its value.
    package typealias Entry = (name: StaticString, value: ArraySlice<UInt8>)

    /// What the request's header says toward the server. Values are printable ASCII, and at most 12 KiB of them in all.
    package private(set) var fields: [Entry] = []
    /// Those of the fields that `_meta` does not say yet.
    private var missing: [Entry] = []
    /// Of the parent, for the log; nil without a valid one.
    package private(set) var parent: Traceparent?

    /// - Returns: nil when there is nothing to tell the server that it would not be told anyway.
    package init?(of meta: RequestMeta, in document: JSONDocument, headers: Headers) {
        let (traceparent, tracestate, baggage) = (meta.traceparent, meta.tracestate, meta.baggage)
        // A state without its own parent would be taken for the state of another trace: both come from one place.
        if traceparent != nil || tracestate != nil {
            addTrace(
                TraceContext.memberText(traceparent, document), TraceContext.memberText(tracestate, document),
                isNew: false)
        } else {
            addTrace(headers.traceparent, headers.tracestate, isNew: true)
        }
        if baggage != nil {
            addMembers(MetaKey.baggage, TraceContext.memberText(baggage, document), isNew: false)
        } else {
            addMembers(MetaKey.baggage, headers.baggage, isNew: true)
        }
        if fields.isEmpty { return nil }
    }

    /// Says in `_meta` what the client said in the header alone.
    func addMembers(to meta: JSONValue, in splice: inout JSONSplice) {
        for (name, value) in missing {
            var text = [UInt8]()
            text.reserveCapacity(value.count + 2)
            text.appendJSON(utf8: value)
            splice.setMember(name, to: text, in: meta)
        }
    }

    /// Whether `_meta` has to say more than it did.
    var changesMeta: Bool { !missing.isEmpty }

    /// Without a valid parent there is no state (W3C Trace Context, "Processing Model").
    private mutating func addTrace(_ parent: ArraySlice<UInt8>?, _ state: ArraySlice<UInt8>?, isNew: Bool) {
        guard let parent, let valid = Traceparent(parent) else { return }
        self.parent = valid
        addMembers(MetaKey.traceparent, parent, isNew: isNew)
        addMembers(MetaKey.tracestate, state, isNew: isNew, maxSize: TraceContext.maxState)
    }

    private mutating func addMembers(
        _ name: StaticString, _ value: ArraySlice<UInt8>?, isNew: Bool, maxSize: Int = maxBaggage
    ) {
        guard let value, value.count <= maxSize, TraceContext.isClean(value) else { return }
        fields.append((name, value))
        if isNew { missing.append((name, value)) }
    }

    private static func memberText(_ value: JSONValue?, _ document: JSONDocument) -> ArraySlice<UInt8>? {
        value.flatMap { document.stringBytes($0) }?[...]
    }

    /// The limits up to which W3C Baggage must be forwarded ("Limits").
    private static let maxBaggage = 8192
    /// W3C Trace Context asks for 512 ("tracestate Limits"). With the longest baggage, the head stays below the 16 KiB
    /// that servers on Node.js take.
    private static let maxState = 4096

    /// Printable ASCII, which is all that either text allows. Whether the list in it is well-formed is for those to say
    /// who read it.
    private static func isClean(_ value: ArraySlice<UInt8>) -> Bool {
        !value.isEmpty && value.allSatisfy { $0 == 0x09 || (0x20...0x7E).contains($0) }
    }
}
