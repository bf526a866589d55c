import Testing
import Translation

@testable import Gateway

/// A trace in the header of a request at the front door; `GoldenTests` has the rows about `_meta`.
@Suite struct TraceRulesTests {
    private static let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

    @Test func oneLineEach() throws {
        #expect(
            try fields("Traceparent: \(Self.parent)\r\nTRACESTATE: a=1\r\nbaggage:  b=2 \r\n")
                == ["traceparent: \(Self.parent)", "tracestate: a=1", "baggage: b=2"])
    }

    /// Lines of a list are one list (RFC 9110 section 5.3).
    @Test func severalLines() throws {
        #expect(
            try fields(
                "baggage: a=1\r\ntraceparent: \(Self.parent)\r\ntracestate: a=1\r\ntracestate: b=2\r\nBaggage: b=2\r\n")
                == ["traceparent: \(Self.parent)", "tracestate: a=1,b=2", "baggage: a=1,b=2"])
    }

    @Test func twoParentsAreNone() throws {
        #expect(try fields("traceparent: \(Self.parent)\r\ntraceparent: \(Self.parent)\r\ntracestate: a=1\r\n").isEmpty)
    }

    @Test func noTrace() throws {
        #expect(try trace("")?.fields == nil)
    }

    private func trace(_ lines: String) throws -> TraceContext? {
        guard case .request(let request) = try Knock().changed({ $0.moreFields = lines }).admitted() else {
            throw NoHead()
        }
        return request.trace
    }

    private func fields(_ lines: String) throws -> [String] {
        try trace(lines)?.fields.map { "\($0.name): \(String(decoding: $0.value, as: UTF8.self))" } ?? []
    }
}
