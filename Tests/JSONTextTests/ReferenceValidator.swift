/// RFC 8259 written down as slowly and as plainly as it can be, to compare the real thing with.
struct ReferenceValidator {
    private var rest: Substring.UnicodeScalarView
    private let maxDepth: Int

    static func accepts(_ bytes: [UInt8], maxDepth: Int = 128) -> Bool {
        guard let text = String(validating: bytes, as: UTF8.self) else { return false }
        var validator = ReferenceValidator(rest: text[...].unicodeScalars, maxDepth: maxDepth)
        validator.whitespace()
        guard validator.value(depth: 0) else { return false }
        validator.whitespace()
        return validator.rest.isEmpty
    }

    private mutating func whitespace() {
        while let next = rest.first, [" ", "\t", "\n", "\r"].contains(next) {
            rest.removeFirst()
        }
    }

    private mutating func take(_ scalar: Unicode.Scalar) -> Bool {
        guard rest.first == scalar else { return false }
        rest.removeFirst()
        return true
    }

    private mutating func takeOne(of scalars: String) -> Bool {
        guard let next = rest.first, scalars.unicodeScalars.contains(next) else { return false }
        rest.removeFirst()
        return true
    }

    private mutating func take(word: String) -> Bool {
        word.unicodeScalars.allSatisfy { take($0) }
    }

    private mutating func value(depth: Int) -> Bool {
        switch rest.first {
        case "{": list(until: "}", depth: depth) { $0.member(depth: depth + 1) }
        case "[": list(until: "]", depth: depth) { $0.value(depth: depth + 1) }
        case "\"": string()
        case "t": take(word: "true")
        case "f": take(word: "false")
        case "n": take(word: "null")
        default: number()
        }
    }

    private mutating func list(until close: Unicode.Scalar, depth: Int, item: (inout Self) -> Bool) -> Bool {
        guard depth < maxDepth else { return false }
        rest.removeFirst()
        whitespace()
        if take(close) {
            return true
        }
        repeat {
            whitespace()
            guard item(&self) else { return false }
            whitespace()
        } while take(",")
        return take(close)
    }

    private mutating func member(depth: Int) -> Bool {
        guard rest.first == "\"", string() else { return false }
        whitespace()
        guard take(":") else { return false }
        whitespace()
        return value(depth: depth)
    }

    private mutating func string() -> Bool {
        guard take("\"") else { return false }
        while let next = rest.popFirst() {
            switch next {
            case "\"":
                return true
            case "\\":
                if take("u") {
                    for _ in 0..<4 where !takeOne(of: "0123456789abcdefABCDEF") {
                        return false
                    }
                } else if !takeOne(of: #""\/bfnrt"#) {
                    return false
                }
            case "\0"..."\u{1F}":
                return false
            default:
                break
            }
        }
        return false
    }

    private mutating func number() -> Bool {
        _ = take("-")
        if !take("0") {
            guard takeOne(of: "123456789") else { return false }
            while takeOne(of: "0123456789") {}
        }
        if take(".") {
            guard digits() else { return false }
        }
        if takeOne(of: "eE") {
            _ = takeOne(of: "+-")
            guard digits() else { return false }
        }
        return true
    }

    private mutating func digits() -> Bool {
        guard takeOne(of: "0123456789") else { return false }
        while takeOne(of: "0123456789") {}
        return true
    }
}
