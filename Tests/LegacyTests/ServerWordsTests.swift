import Testing

@testable import Legacy

@Suite struct ServerWordsTests {
    private func shown(_ text: String) -> String? { ServerWords.readableText(Array(text.utf8)) }

    @Test func theMessageOfAnError() {
        #expect(shown(#"{"jsonrpc":"2.0","id":1,"error":{"code":1,"message":"no\u0007 way"}}"#) == "no  way")
        #expect(shown(#"{"error":"Session not found"}"#) == "Session not found")
        #expect(shown(#"{"message":"a"}"#) == "a")
    }

    @Test func aText() {
        #expect(shown("Not\r\nhere\u{85}") == "Not  here ")
        #expect(shown(String(repeating: "a", count: 1000))?.count == 200)
    }

    @Test(arguments: ["", " \n", "<html>no</html>", "{}", "[]", #"{"error":{"message":5}}"#])
    func nothing(text: String) {
        #expect(shown(text) == nil)
    }
}
