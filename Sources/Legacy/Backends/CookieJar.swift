/// The cookies that what stands before a server, or the server itself, has set in one session, so that a balancer finds the
/// copy that has it. They go with the session's requests and nowhere else.
///
/// Of their attributes only `Max-Age` is looked at, as far as it says that a cookie is to go: path, domain and time mean
/// nothing for requests that all go to one URL for as long as a session lasts (RFC 6265 §5.3).
struct CookieJar {
    /// A balancer needs one. What a server keeps in cookies beyond that is its own session, and small.
    private static let maxCount = 16
    /// Bytes of all names and values: a quarter of the head that common servers take.
    private static let maxSize = 4096

    private var cookies: [(name: [UInt8], value: [UInt8])] = []

    /// Names and values as `Cookie` has them (RFC 6265 §4.2); empty where there are none.
    private(set) var field: [UInt8] = []

    /// - Parameter field: ``field`` of another.
    init(field: [UInt8] = []) {
        for pair in field.split(separator: UInt8(ascii: ";")) { storeCookie(Array(pair)) }
    }

    /// Takes note of a value of `Set-Cookie`. One that there is no room for, or that could not be sent, is left out.
    mutating func storeCookie(_ line: [UInt8]) {
        var parts = line.split(separator: UInt8(ascii: ";"), omittingEmptySubsequences: false).map {
            CookieJar.trimmed($0)
        }
        let pair = parts.removeFirst()[...]
        guard let equals = pair.firstIndex(of: UInt8(ascii: "=")) else { return }
        let name = CookieJar.trimmed(pair[..<equals])
        let value = CookieJar.trimmed(pair[(equals + 1)...])
        guard !name.isEmpty, (name + value).allSatisfy({ (0x21...0x7E).contains($0) || $0 == 0x20 }) else { return }
        let index = cookies.firstIndex { $0.name == name }
        if parts.contains(where: CookieJar.expiresAtOnce) {
            if let index { cookies.remove(at: index) }
        } else if let index {
            guard size - cookies[index].value.count + value.count <= CookieJar.maxSize else { return }
            cookies[index].value = value
        } else {
            guard cookies.count < CookieJar.maxCount, size + name.count + value.count <= CookieJar.maxSize else {
                return
            }
            cookies.append((name, value))
        }
        field = Array(cookies.map { $0.name + [UInt8(ascii: "=")] + $0.value }.joined(separator: "; ".utf8))
    }

    private var size: Int { cookies.reduce(0) { $0 + $1.name.count + $1.value.count } }

    /// Whether an attribute says that the cookie is to go at once: `Max-Age` of zero or less.
    private static func expiresAtOnce(_ attribute: [UInt8]) -> Bool {
        let parts = attribute.split(separator: UInt8(ascii: "="), maxSplits: 1, omittingEmptySubsequences: false)
        guard parts.count == 2, String(decoding: trimmed(parts[0]), as: UTF8.self).lowercased() == "max-age" else {
            return false
        }
        let value = trimmed(parts[1])
        let digits = value.first == UInt8(ascii: "-") ? value.dropFirst() : value[...]
        guard !digits.isEmpty, digits.allSatisfy({ (0x30...0x39).contains($0) }) else { return false }
        return value.first == UInt8(ascii: "-") || digits.allSatisfy { $0 == UInt8(ascii: "0") }
    }

    private static func trimmed(_ text: ArraySlice<UInt8>) -> [UInt8] {
        var text = text
        func isSpace(_ byte: UInt8?) -> Bool { byte == 0x20 || byte == 0x09 }
        while isSpace(text.first) { text.removeFirst() }
        while isSpace(text.last) { text.removeLast() }
        return Array(text)
    }
}
