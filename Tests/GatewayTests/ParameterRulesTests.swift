import Testing

@testable import Gateway

/// Parameters that Remora checks itself (the translation contract, §1, row 13).
@Suite struct ParameterRulesTests {
    @Test(
        arguments: [
            ("tools/call", #""name":"add""#, true), ("tools/call", #""name":"add","arguments":{}"#, true),
            ("tools/call", #""arguments":{}"#, false), ("tools/call", #""name":7"#, false),
            ("tools/call", #""name":null"#, false), ("tools/call", #""name":"add","arguments":[]"#, false),
            ("tools/call", #""name":"add","arguments":null"#, false),
            ("prompts/get", #""name":"p""#, true), ("prompts/get", #""uri":"p""#, false),
            ("resources/read", #""uri":"u""#, true), ("resources/read", #""name":"u""#, false),
            ("resources/read", #""uri":["u"]"#, false),
            ("tools/list", "", true), ("tools/list", #""cursor":"""#, true), ("tools/list", #""cursor":1"#, false),
            ("prompts/list", #""cursor":null"#, false), ("resources/list", #""cursor":{}"#, false),
            ("resources/templates/list", #""cursor":true"#, false),
            ("completion/complete", #""ref":{},"argument":{}"#, true), ("completion/complete", #""ref":{}"#, false),
            ("completion/complete", #""argument":{}"#, false),
            ("completion/complete", #""ref":"r","argument":{}"#, false),
            ("server/discover", "", true), ("server/discover", #""cursor":1"#, true),
            ("skills/list", "", true), ("skills/list", #""cursor":1"#, false),
            ("skills/get", #""uri":"v""#, true), ("skills/get", "", false), ("skills/get", #""uri":1"#, false),
            ("resources/directory/read", #""uri":"v","cursor":"c""#, true), ("resources/directory/read", "", false),
            ("vendor.example/x", #""uri":1,"cursor":{},"name":[]"#, true),
        ])
    func parametersAreChecked(method: String, params: String, isRight: Bool) throws {
        try check(method, params: params, meta: "", isRight: isRight)
    }

    @Test(
        arguments: [
            (#""io.modelcontextprotocol/logLevel":"debug""#, true),
            (#""io.modelcontextprotocol/logLevel":"emergency""#, true),
            (#""io.modelcontextprotocol/logLevel":"Debug""#, false),
            (#""io.modelcontextprotocol/logLevel":"""#, false), (#""io.modelcontextprotocol/logLevel":7"#, false),
            (#""io.modelcontextprotocol/logLevel":null"#, false),
            (#""progressToken":"t""#, true), (#""progressToken":12345678901234567890123"#, true),
            (#""progressToken":1.5"#, false), (#""progressToken":null"#, false), (#""progressToken":{}"#, false),
        ])
    func metaIsChecked(meta: String, isRight: Bool) throws {
        try check("server/discover", params: "", meta: "," + meta, isRight: isRight)
    }

    private func check(_ method: String, params: String, meta: String, isRight: Bool) throws {
        let comma = params.isEmpty ? "" : ","
        let knock = Knock().changed {
            $0.method = method
            $0.methodHeader = method
            $0.params = params + comma
            $0.capabilities = "{}" + meta
            $0.nameHeader = nil
            if params.contains(#""name":"add""#) { $0.nameHeader = "add" }
            if params.contains(#""name":"p""#) { $0.nameHeader = "p" }
            if params.contains(#""uri":"u""#) { $0.nameHeader = "u" }
        }
        guard case .request(let request) = try knock.admitted() else { throw NoHead() }
        do throws(Refusal) {
            try ParameterRules.checkParameters(request)
            #expect(isRight)
        } catch {
            #expect(!isRight)
            #expect(error.status == 200 && error.code == -32602)
        }
    }
}
