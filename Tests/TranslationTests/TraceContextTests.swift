import JSONText
import Testing

@testable import Translation

/// What golden files say badly: long values, and each way to spell a parent wrongly.
@Suite struct TraceContextTests {
    private static let good = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

    @Test func aParentIsRead() throws {
        let parent = try #require(Traceparent(Array(TraceContextTests.good.utf8)[...]))
        #expect(parent.traceID == "0af7651916cd43dd8448eb211c80319c")
        #expect(parent.spanID == "b7ad6b7169203331")
    }

    /// W3C Trace Context, "traceparent Header Field Values" and "Versioning of traceparent".
    @Test(arguments: [
        "", "00", "00-", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-011",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-00",
        " 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01 ",
        "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "0g-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
        "00-0af7651916cd43dd8448eb211c80319c-B7AD6B7169203331-01",
        "00-00000000000000000000000000000000-b7ad6b7169203331-01",
        "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
        "00_0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "00-0af7651916cd43dd8448eb211c80319c_b7ad6b7169203331-01",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331_01",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0x",
        "01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01x",
        "01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-a b",
        "00-0af7651916cd43dd8448eb211c8031\u{e9}-b7ad6b7169203331-01",
    ])
    func whatIsNoParent(text: String) {
        #expect(Traceparent(Array(text.utf8)[...]) == nil)
        #expect(fields(TraceContext.Headers(traceparent: Array(text.utf8)[...])).isEmpty)
    }

    @Test(arguments: ["01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "fe-\(good.dropFirst(3))-more.of-it"])
    func aLaterVersion(text: String) {
        #expect(Traceparent(Array(text.utf8)[...])?.spanID == "b7ad6b7169203331")
    }

    @Test(arguments: [(4096, 8192, ["traceparent", "tracestate", "baggage"]), (4097, 8193, ["traceparent"])])
    func longValues(state: Int, baggage: Int, expected: [String]) {
        let headers = TraceContext.Headers(
            traceparent: Array(TraceContextTests.good.utf8)[...],
            tracestate: [UInt8](repeating: 0x61, count: state)[...],
            baggage: [UInt8](repeating: 0x61, count: baggage)[...])
        #expect(fields(headers) == expected)
    }

    @Test func aParentHasALimit() {
        let long = "01" + TraceContextTests.good.dropFirst(2) + "-" + String(repeating: "a", count: 456)
        #expect(Traceparent(Array(long.utf8)[...]) != nil)
        #expect(Traceparent(Array((long + "a").utf8)[...]) == nil)
    }

    @Test(arguments: [UInt8(0x00), 0x0A, 0x0D, 0x1F, 0x7F, 0x80, 0xFF])
    func bytesThatNoFieldHas(byte: UInt8) {
        #expect(fields(TraceContext.Headers(baggage: [0x61, byte, 0x62])).isEmpty)
    }

    /// Requests without a trace pay for nothing that follows from a context.
    @Test func nothingIsNothing() throws {
        let document = try JSONDocument(Array(#"{"progressToken":1}"#.utf8))
        #expect(
            TraceContext(of: RequestMeta(document.root, in: document), in: document, headers: TraceContext.Headers())
                == nil)
    }

    private func fields(_ headers: TraceContext.Headers) -> [String] {
        guard let document = try? JSONDocument(Array("{}".utf8)) else { return ["no JSON"] }
        return TraceContext(of: RequestMeta(document.root, in: document), in: document, headers: headers)?.fields.map {
            "\($0.name)"
        } ?? []
    }
}
