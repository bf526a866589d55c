import HTTPWire
import JSONText
import Testing
import Translation

@testable import Gateway

/// Arguments and the headers that repeat them (the translation contract, §1, row 19).
@Suite struct HeaderParameterRulesTests {
    private static let schema =
        #"{"type":"object","properties":{"text":{"type":"string","x-mcp-header":"Text"},"#
        + #""n":{"type":"integer","x-mcp-header":"N"},"b":{"type":"boolean","x-mcp-header":"B"},"#
        + #""o":{"type":"object","properties":{"in":{"type":"string","x-mcp-header":"In"}}}}}"#

    private func parameters(_ tools: String) throws -> HeaderParameters {
        let list = try JSONDocument(Array(#"{"tools":[\#(tools)]}"#.utf8))
        var parameters = HeaderParameters()
        parameters.addTools(list.root, in: list)
        return parameters
    }

    private func tool(_ schema: String, name: String = "add") -> String {
        #"{"name":"\#(name)","inputSchema":\#(schema)}"#
    }

    /// Whether a call with these arguments and fields is let through; nil where it is not refused as a mismatch.
    private func isRefused(_ arguments: String, _ fields: String, _ parameters: HeaderParameters) throws -> Bool {
        let knock = Knock().changed {
            $0.params = #""name":"add","arguments":\#(arguments),"#
            $0.moreFields = fields
        }
        guard case .request(let request) = try knock.admitted() else { throw NoHead() }
        let obstacle = SessionRules.obstacle(to: request, try knock.head.fields, by: parameters, on: nil, .off)
        guard case .refused(let refusal) = obstacle else { return false }
        #expect(refusal.status == 400 && refusal.code == -32020)
        return true
    }

    @Test(arguments: [
        (#"{"text":"eu"}"#, "Mcp-Param-Text: eu\r\n"), (#"{"text":"\u0065u"}"#, "mcp-param-text:  eu \r\n"),
        (#"{"te\u0078t":"eu"}"#, "mcp-param-text: eu\r\n"), (#"{"text":"é"}"#, "Mcp-Param-Text: =?base64?w6k=?=\r\n"),
        (#"{"text":"=?base64?YQ==?="}"#, "Mcp-Param-Text: =?base64?PT9iYXNlNjQ/WVE9PT89?=\r\n"),
        (#"{"text":""}"#, "Mcp-Param-Text:\r\n"), ("{}", ""), (#"{"text":null}"#, ""),
        (#"{"other":[1],"other":2}"#, ""),
        (#"{"n":42}"#, "Mcp-Param-N: 42\r\n"), (#"{"n":42}"#, "Mcp-Param-N: 42.0\r\n"),
        (#"{"n":42.0}"#, "Mcp-Param-N: 42\r\n"), (#"{"n":1e2}"#, "Mcp-Param-N: 100\r\n"),
        (#"{"n":-0}"#, "Mcp-Param-N: 0\r\n"), (#"{"n":-7}"#, "Mcp-Param-N: -7\r\n"),
        (#"{"n":9007199254740993}"#, "Mcp-Param-N: 9007199254740993\r\n"),
        (#"{"n":0.5e1}"#, "Mcp-Param-N: 5\r\n"), (#"{"b":true}"#, "Mcp-Param-B: true\r\n"),
        (#"{"o":{"in":"x","y":{"in":"z"}}}"#, "Mcp-Param-In: x\r\n"), (#"{"o":{}}"#, ""), (#"{"o":7}"#, ""),
    ])
    func agreementIsLetThrough(arguments: String, fields: String) throws {
        #expect(try !isRefused(arguments, fields, parameters(tool(Self.schema))))
    }

    @Test(arguments: [
        // What a header cannot say.
        (#"{"text":["eu"]}"#, "Mcp-Param-Text: eu\r\n"), (#"{"text":{}}"#, "Mcp-Param-Text: {}\r\n"),
        (#"{"text":[]}"#, ""), (#"{"n":{}}"#, "Mcp-Param-N: 1\r\n"), (#"{"o":{"in":{}}}"#, "Mcp-Param-In: x\r\n"),
        // Twice.
        (#"{"text":"eu","text":"us"}"#, "Mcp-Param-Text: eu\r\n"),
        (#"{"text":"eu","te\u0078t":"us"}"#, "Mcp-Param-Text: eu\r\n"),
        (#"{"text":"eu","text":"eu"}"#, "Mcp-Param-Text: eu\r\n"), (#"{"text":null,"text":null}"#, ""),
        (#"{"o":{"in":"x"},"o":{}}"#, "Mcp-Param-In: x\r\n"), (#"{"o":{"in":"x","in":"y"}}"#, "Mcp-Param-In: x\r\n"),
        (#"{"text":"eu"}"#, "Mcp-Param-Text: eu\r\nmcp-param-text: eu\r\n"),
        (#"{"text":"eu"}"#, "Mcp-Param-Text: eu\r\nMcp-Param-Text: us\r\n"),
        ("{}", "Mcp-Param-Text: eu\r\nMcp-Param-Text: us\r\n"),
        // Numbers.
        (#"{"n":1e400}"#, "Mcp-Param-N: 1e400\r\n"), (#"{"n":-1E+400}"#, "Mcp-Param-N: -1E+400\r\n"),
        (#"{"n":9007199254740993}"#, "Mcp-Param-N: 9007199254740992\r\n"), (#"{"n":1}"#, "Mcp-Param-N: 1.\r\n"),
        (#"{"n":1}"#, "Mcp-Param-N: +1\r\n"), (#"{"n":1}"#, "Mcp-Param-N: 01\r\n"),
        (#"{"n":1}"#, "Mcp-Param-N: 1 1\r\n"),
        (#"{"n":1}"#, "Mcp-Param-N: -1\r\n"), (#"{"n":1}"#, "Mcp-Param-N: 1e\r\n"), (#"{"n":1}"#, "Mcp-Param-N:\r\n"),
        (#"{"n":1}"#, "Mcp-Param-N: 0x1\r\n"), (#"{"n":10}"#, "Mcp-Param-N: 1\r\n"),
        (#"{"n":0.1}"#, "Mcp-Param-N: 1\r\n"),
        (#"{"b":true}"#, "Mcp-Param-B: True\r\n"), (#"{"b":true}"#, "Mcp-Param-B: false\r\n"),
        // Texts.
        (#"{"text":"eu"}"#, "Mcp-Param-Text: us\r\n"), (#"{"text":"eu"}"#, ""), ("{}", "Mcp-Param-Text: eu\r\n"),
        (#"{"text":null}"#, "Mcp-Param-Text: null\r\n"), (#"{"text":"\ud800"}"#, "Mcp-Param-Text: =?base64?77+9?=\r\n"),
        (#"{"text":"eu"}"#, "Mcp-Param-Text: =?base64?*?=\r\n"), (#"{"o":7}"#, "Mcp-Param-In: 7\r\n"),
    ])
    func contradictionIsRefused(arguments: String, fields: String) throws {
        #expect(try isRefused(arguments, fields, parameters(tool(Self.schema))))
    }

    @Test func ofTwoToolsWithOneNameBothHold() throws {
        func schema(_ header: String) -> String {
            #"{"type":"object","properties":{"text":{"type":"string","x-mcp-header":"\#(header)"}}}"#
        }
        let both = try parameters(tool(schema("One")) + "," + tool(schema("Two")) + "," + tool("{}"))
        #expect(try !isRefused(#"{"text":"a"}"#, "Mcp-Param-One: a\r\nMcp-Param-Two: a\r\n", both))
        #expect(try isRefused(#"{"text":"a"}"#, "Mcp-Param-One: a\r\nMcp-Param-Two: b\r\n", both))
        #expect(try isRefused(#"{"text":"a"}"#, "Mcp-Param-One: b\r\nMcp-Param-Two: a\r\n", both))
    }

    @Test(arguments: [
        #"{"type":"object","properties":{"a":{"type":"string","x-mcp-header":"A","x-mcp-header":"B"}}}"#,
        #"{"type":"object","properties":{"\ud800":{"type":"string","x-mcp-header":"A"}}}"#,
        #"{"type":"object","properties":{"a":{"type":"string","x-mcp-header":"A"},"b":{"type":"string","x-mcp-header":"a"}}}"#,
        #"{"type":"object","properties":{\#((0..<101).map { #""p\#($0)":{"type":"string","x-mcp-header":"P\#($0)"}"# }.joined(separator: ","))}}"#,
    ])
    func annotationsThatNobodyCanFollowAreNone(schema: String) throws {
        #expect(try parameters(tool(schema)).isEmpty)
    }

    /// One walk over the arguments, however many of them are repeated in headers.
    @Test func manyHeadersCostNotManyWalks() throws {
        func parameters(_ count: Int) throws -> HeaderParameters {
            let properties = (0..<count).map { #""p\#($0)":{"type":"string","x-mcp-header":"P\#($0)"}"# }
            return try self.parameters(tool(#"{"properties":{\#(properties.joined(separator: ","))}}"#))
        }
        let arguments = "{" + (0..<30_000).map { #""m\#($0)":[]"# }.joined(separator: ",") + "}"
        let (one, many) = (try parameters(1), try parameters(90))
        let clock = ContinuousClock()
        func time(_ parameters: HeaderParameters) throws -> Duration {
            var least = Duration.seconds(3600)
            for _ in 0..<3 { least = min(least, try clock.measure { _ = try isRefused(arguments, "", parameters) }) }
            return least
        }
        #expect(try time(many) < time(one) * 10)
    }
}

@Suite struct DecimalNumberTests {
    @Test(arguments: [
        ("0", "-0", true), ("0", "0.000e5", true), ("1", "1.0", true), ("1", "10e-1", true), ("100", "1e2", true),
        ("100", "1E+2", true),
        ("0.01", "1e-2", true), ("-1", "1", false), ("1", "10", false),
        ("12345678901234567890123", "12345678901234567890123.0", true),
        ("12345678901234567890123", "12345678901234567890124", false), ("1e307", "10e306", true),
    ])
    func numbersAreEqualByTheirValues(left: String, right: String, isEqual: Bool) {
        #expect((DecimalNumber(Array(left.utf8)[...]) == DecimalNumber(Array(right.utf8)[...])) == isEqual)
    }

    @Test(arguments: [
        "", "-", "+1", "01", "1.", ".1", "1e", "1e+", "e1", "1e1.0", "1x", " 1", "0x1", "1e308", "1e400",
        "1e99999999999999999999",
        "1e-99999999999999999999", "Infinity", "NaN", "--1", "1e--1", "1-", "1e5-",
    ])
    func whatIsNoNumberHasNoValue(text: String) {
        #expect(DecimalNumber(Array(text.utf8)[...]) == nil)
        #expect(DecimalNumber(Array("[\(text)]".utf8)[1..<text.utf8.count + 1]) == nil)
    }
}
