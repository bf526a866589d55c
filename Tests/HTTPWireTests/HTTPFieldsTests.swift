import HTTPWire
import Testing

@Suite struct HTTPFieldsTests {
    let fields: HTTPFields

    init() throws {
        let head = """
            GET / HTTP/1.1\r
            Host: h\r
            Accept: application/json, text/event-stream\r
            accept:  text/html;q=0.1 ,, */*\r
            X^y~z: 1\r
            Latin: caf\u{E9}\r
            N: 42\r
            \r

            """
        fields = try #require(decodeRequests([Array(head)]).messages.first?.head.fields)
    }

    @Test func namesIgnoreCaseOfLettersOnly() {
        #expect(fields.first("HOST")?.string == "h")
        #expect(fields.first(named: "hOsT")?.string == "h")
        #expect(fields.first(named: Array("hOsT"))?.string == "h")
        #expect(fields.first("x^Y~Z")?.equals("1") == true)
        #expect(fields.first("x~y~z") == nil)
        #expect(fields.first("hos") == nil)
        #expect(fields.first("") == nil)
        #expect(fields.count(of: "aCCept") == 2)
        #expect(fields.count(of: "absent") == 0)
        #expect(fields.count == 6)
    }

    /// Long names are compared eight bytes at a time: each byte against each, among neighbours that could carry into it.
    @Test(arguments: [0, 5, 7, 8, 10]) func namesIgnoreCaseAtEachPlace(place: Int) throws {
        for character in UInt8.min...UInt8.max where character != UInt8(ascii: ":") {
            var name = Array("a-z~0_Z-b.Q".utf8)
            name[place] = character
            let head = Array("GET / HTTP/1.1\r\nHost: h\r\n".utf8) + name + Array(": 1\r\n\r\n".utf8)
            // What cannot stand in a name is refused.
            guard let fields = decodeRequests([head]).messages.first?.head.fields else { continue }
            for other in UInt8.min...UInt8.max {
                var asked = Array("A-Z~0_z-B.q".utf8)
                asked[place] = other
                let isLetter = (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(character | 0x20)
                let isSame = character == other || isLetter && character ^ other == 0x20
                #expect((fields.first(named: asked) != nil) == isSame, "\(character) and \(other) at \(place)")
            }
        }
    }

    @Test(arguments: [
        ("text/event-stream", true), ("APPLICATION/JSON", true), ("*/*", true), ("text/html", false),
        ("text/html;q=0.1", true), ("json", false), ("", false),
    ])
    func tokensAreFoundInAllLines(token: String, expected: Bool) {
        // A `StaticString` cannot come from a table.
        let found =
            switch token {
            case "text/event-stream": fields.containsToken("Accept", "text/event-stream")
            case "APPLICATION/JSON": fields.containsToken("Accept", "APPLICATION/JSON")
            case "*/*": fields.containsToken("Accept", "*/*")
            case "text/html": fields.containsToken("Accept", "text/html")
            case "text/html;q=0.1": fields.containsToken("Accept", "text/html;q=0.1")
            case "json": fields.containsToken("Accept", "json")
            default: fields.containsToken("Accept", "")
            }
        #expect(found == expected)
    }

    @Test func allLinesComeInOrder() {
        let all = fields.all().map { "\($0.name.string)=\($0.value.string)" }
        #expect(
            all == [
                "Host=h", "Accept=application/json, text/event-stream", "accept=text/html;q=0.1 ,, */*", "X^y~z=1",
                "Latin=caf\u{E9}", "N=42",
            ])
    }

    @Test func valuesCompare() throws {
        let latin = try #require(fields.first("latin"))
        #expect(latin.bytes.count == 5)
        #expect(!latin.equals("cafe"))
        let host = try #require(fields.first("host"))
        #expect(host.equals("h") && !host.equals("H") && host.equalsIgnoringCase("H") && !host.equalsIgnoringCase("hh"))
        #expect(fields.first("n")?.decimal == 42)
        #expect(host.decimal == nil)
    }
}
