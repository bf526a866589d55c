/// A JSON value, read strictly (RFC 8259). It shares no line with the product.
indirect enum JSON {
    case null
    case bool(Bool)
    case number(String)
    case string(String)
    case array([JSON])
    case object([(name: String, value: JSON)])

    subscript(_ name: String) -> JSON? {
        if case .object(let members) = self { members.first { $0.name == name }?.value } else { nil }
    }

    subscript(_ index: Int) -> JSON? {
        if case .array(let elements) = self, elements.indices.contains(index) { elements[index] } else { nil }
    }

    var text: String? { if case .string(let text) = self { text } else { nil } }
    var number: Int? { if case .number(let text) = self { Int(text) } else { nil } }
    var flag: Bool? { if case .bool(let value) = self { value } else { nil } }
    var members: [(name: String, value: JSON)] { if case .object(let members) = self { members } else { [] } }
    var elements: [JSON] { if case .array(let elements) = self { elements } else { [] } }

    init?(_ bytes: [UInt8]) {
        var reader = JSONReader(bytes)
        guard let value = reader.value(), reader.isAtEnd else { return nil }
        self = value
    }

    /// As it is written.
    var source: String {
        switch self {
        case .null: "null"
        case .bool(let value): "\(value)"
        case .number(let text): text
        case .string(let text): "\"\(text)\""
        case .array(let elements): "[\(elements.map(\.source).joined(separator: ","))]"
        case .object(let members): "{\(members.map { "\"\($0.name)\":\($0.value.source)" }.joined(separator: ","))}"
        }
    }
}

private struct JSONReader {
    private let bytes: [UInt8]
    private var place = 0

    init(_ bytes: [UInt8]) { self.bytes = bytes }

    var isAtEnd: Bool {
        mutating get {
            skip()
            return place == bytes.count
        }
    }

    private mutating func skip() {
        while place < bytes.count, [32, 9, 10, 13].contains(bytes[place]) { place += 1 }
    }

    private mutating func take(_ byte: UInt8) -> Bool {
        skip()
        guard place < bytes.count, bytes[place] == byte else { return false }
        place += 1
        return true
    }

    private mutating func word(_ text: StaticString, _ value: JSON) -> JSON? {
        guard bytes.find(text, from: place) == place else { return nil }
        place += text.utf8CodeUnitCount
        return value
    }

    mutating func value() -> JSON? {
        skip()
        guard place < bytes.count else { return nil }
        switch bytes[place] {
        case UInt8(ascii: "{"): return object()
        case UInt8(ascii: "["): return array()
        case UInt8(ascii: "\""): return string().map(JSON.string)
        case UInt8(ascii: "t"): return word("true", .bool(true))
        case UInt8(ascii: "f"): return word("false", .bool(false))
        case UInt8(ascii: "n"): return word("null", .null)
        default: return number()
        }
    }

    private mutating func number() -> JSON? {
        let start = place
        while place < bytes.count,
            UInt8(ascii: "0")...UInt8(ascii: "9") ~= bytes[place] || [43, 45, 46, 69, 101].contains(bytes[place])
        {
            place += 1
        }
        return place > start ? .number(String(decoding: bytes[start..<place], as: UTF8.self)) : nil
    }

    private mutating func string() -> String? {
        place += 1
        // Most have no escape.
        let start = place
        while place < bytes.count, bytes[place] != 34, bytes[place] != 92, bytes[place] >= 32 { place += 1 }
        if place < bytes.count, bytes[place] == 34 {
            defer { place += 1 }
            return String(validating: bytes[start..<place], as: UTF8.self)
        }
        var text = Array(bytes[start..<place])
        while place < bytes.count {
            let byte = bytes[place]
            place += 1
            switch byte {
            case 34: return String(validating: text, as: UTF8.self)
            case 0..<32: return nil
            case 92:
                guard place < bytes.count else { return nil }
                let escaped = bytes[place]
                place += 1
                switch escaped {
                case 34, 92, 47: text.append(escaped)
                case UInt8(ascii: "n"): text.append(10)
                case UInt8(ascii: "t"): text.append(9)
                case UInt8(ascii: "r"): text.append(13)
                case UInt8(ascii: "b"): text.append(8)
                case UInt8(ascii: "f"): text.append(12)
                case UInt8(ascii: "u"):
                    guard place + 4 <= bytes.count,
                        let code = UInt32(String(decoding: bytes[place..<place + 4], as: UTF8.self), radix: 16)
                    else { return nil }
                    place += 4
                    text += Array(String(Unicode.Scalar(code).map(Character.init) ?? "?").utf8)
                default: return nil
                }
            default: text.append(byte)
            }
        }
        return nil
    }

    private mutating func array() -> JSON? {
        place += 1
        var elements: [JSON] = []
        if take(UInt8(ascii: "]")) { return .array([]) }
        while true {
            guard let element = value() else { return nil }
            elements.append(element)
            if take(UInt8(ascii: "]")) { return .array(elements) }
            guard take(UInt8(ascii: ",")) else { return nil }
        }
    }

    private mutating func object() -> JSON? {
        place += 1
        var members: [(name: String, value: JSON)] = []
        if take(UInt8(ascii: "}")) { return .object([]) }
        while true {
            skip()
            guard place < bytes.count, bytes[place] == 34, let name = string(), take(UInt8(ascii: ":")),
                let value = value()
            else { return nil }
            members.append((name, value))
            if take(UInt8(ascii: "}")) { return .object(members) }
            guard take(UInt8(ascii: ",")) else { return nil }
        }
    }
}
