import HTTPWire
import JSONText
import Translation

/// The trace of a request, from its `_meta` and its header.
enum TraceRules {
    /// Nil when the request belongs to none.
    static func traceContext(of meta: RequestMeta, in document: JSONDocument, _ fields: HTTPFields) -> TraceContext? {
        let (parent, state) = (singleField("traceparent", in: fields), joinedField("tracestate", in: fields))
        let baggage = joinedField("baggage", in: fields)
        // As most requests are.
        if parent == nil, state == nil, baggage == nil, !meta.hasTrace { return nil }
        return TraceContext(
            of: meta, in: document,
            headers: TraceContext.Headers(traceparent: parent, tracestate: state, baggage: baggage))
    }

    private static func singleField(_ name: StaticString, in fields: HTTPFields) -> ArraySlice<UInt8>? {
        if case .value(let value) = fields.single(name) { value.bytes } else { nil }
    }

    /// A list may be on several lines, which are one when joined by commas (RFC 9110 section 5.3).
    private static func joinedField(_ name: StaticString, in fields: HTTPFields) -> ArraySlice<UInt8>? {
        switch fields.single(name) {
        case .missing: return nil
        case .value(let value): return value.bytes
        case .repeated:
            let lines = fields.lines(named: name.withUTF8Buffer { Array($0) })
            return Array(lines.map(\.value.bytes).joined(separator: [UInt8(ascii: ",")]))[...]
        }
    }
}
