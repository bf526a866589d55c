import Testing

@testable import Legacy

@Suite struct CookieJarTests {
    private static func field(_ lines: String...) -> String {
        var jar = CookieJar()
        for line in lines { jar.storeCookie(Array(line.utf8)) }
        return String(decoding: jar.field, as: UTF8.self)
    }

    @Test(arguments: [
        (["a=1"], "a=1"),
        (["a=1; Path=/; HttpOnly; SameSite=Lax"], "a=1"),
        ([" a = 1 ;x"], "a=1"),
        (["a=1", "b=2; Secure"], "a=1; b=2"),
        (["a=1", "b=2", "a=3"], "a=3; b=2"),
        (["a=x=y=="], "a=x=y=="),
        (["a=\"quoted value\""], "a=\"quoted value\""),
        (["a="], "a="),
        // What is to go.
        (["a=1", "b=2", "a=; Max-Age=0"], "b=2"),
        (["a=1", "a=1; max-age = -5 "], ""),
        (["a=1; Max-Age=000"], ""),
        (["a=1; Max-Age=60"], "a=1"),
        (["a=1; Max-Age=soon"], "a=1"),
        (["a=1; Max-Age="], "a=1"),
        // What is none, or could not be sent.
        (["a"], ""), ([""], ""), (["=1"], ""), ([";"], ""), (["a=1\r\nx: y"], ""), (["a=\u{0}"], ""), (["ä=1"], ""),
    ])
    func whatIsKept(lines: [String], field: String) {
        var jar = CookieJar()
        for line in lines { jar.storeCookie(Array(line.utf8)) }
        #expect(String(decoding: jar.field, as: UTF8.self) == field)
    }

    @Test func thereIsRoomForSixteen() {
        var jar = CookieJar()
        for number in 0..<1000 { jar.storeCookie(Array("name\(number)=1".utf8)) }
        #expect(jar.field.split(separator: UInt8(ascii: ";")).count == 16)
        jar.storeCookie(Array("name3=2".utf8))
        #expect(String(decoding: jar.field, as: UTF8.self).contains("name3=2"), "what is there can change")
        jar.storeCookie(Array("name3=; Max-Age=0".utf8))
        jar.storeCookie(Array("late=1".utf8))
        #expect(String(decoding: jar.field, as: UTF8.self).hasSuffix("; late=1"))
    }

    @Test func thereIsRoomForFourKilobytes() {
        var jar = CookieJar()
        jar.storeCookie(Array("a=".utf8) + [UInt8](repeating: 0x78, count: 4000))
        jar.storeCookie(Array("b=".utf8) + [UInt8](repeating: 0x78, count: 200))
        #expect(jar.field.count == 4002)
        jar.storeCookie(Array("a=".utf8) + [UInt8](repeating: 0x78, count: 5000))
        #expect(jar.field.count == 4002)
        jar.storeCookie(Array("b=1".utf8))
        #expect(jar.field.count == 4007)
    }
}
