@testable import JSONText

/// A document as a tree that keeps the spelling of names and of what is neither object nor array: what a change must
/// leave alone.
indirect enum Tree: Equatable {
    case leaf(String)
    case array([Tree])
    case object([Member])

    struct Member: Equatable {
        /// As it reads.
        var name: String
        /// As it is spelled, between the quotes.
        var spelling: String
        var value: Tree
    }

    init(_ text: some Collection<UInt8>) throws {
        let document = try JSONDocument(Array(text))
        self.init(document.root, of: document)
    }

    init(_ value: JSONValue, of document: JSONDocument) {
        switch value.kind {
        case .object:
            self = .object(
                document.members(of: value).map { member in
                    Member(
                        name: document.name(of: member),
                        spelling: String(decoding: document.bytes[member.name], as: UTF8.self),
                        value: Tree(member.value, of: document))
                })
        case .array:
            self = .array(document.elements(of: value).map { Tree($0, of: document) })
        case .string, .number, .boolean, .null:
            self = .leaf(String(decoding: document.raw(value), as: UTF8.self))
        }
    }

    /// The tree as text, with whitespace wherever the generator likes it.
    func text(_ random: inout some RandomNumberGenerator) -> String {
        func space() -> String {
            ["", "", "", "", " ", "\n  ", "\t\r\n"].randomElement(using: &random) ?? ""
        }
        switch self {
        case .leaf(let spelling):
            return spelling
        case .array(let elements):
            let inside = elements.map { space() + $0.text(&random) + space() }
            return "[\(inside.isEmpty ? space() : inside.joined(separator: ","))]"
        case .object(let members):
            let inside = members.map { member in
                "\(space())\"\(member.spelling)\"\(space()):\(space())\(member.value.text(&random))\(space())"
            }
            return "{\(inside.isEmpty ? space() : inside.joined(separator: ","))}"
        }
    }

    static func random(depth: Int, using random: inout some RandomNumberGenerator) -> Tree {
        switch Int.random(in: 0..<(depth == 0 ? 5 : 12), using: &random) {
        case 0..<5:
            return .leaf(leaves.randomElement(using: &random) ?? "null")
        case 5..<7:
            return .array(
                (0..<Int.random(in: 0...4, using: &random)).map { _ in .random(depth: depth - 1, using: &random) })
        default:
            return .object(
                (0..<Int.random(in: 0...5, using: &random)).map { _ in
                    let name = names.randomElement(using: &random) ?? ("a", "a")
                    return Member(
                        name: name.0, spelling: name.1, value: .random(depth: depth - 1, using: &random))
                })
        }
    }

    /// Names as they read and as they may be spelled.
    static let names = [
        ("a", "a"), ("a", #"\u0061"#), ("b", "b"), ("c", "c"), ("", ""), ("é", "é"), ("é", #"\u00e9"#),
        ("\"", #"\""#), ("/", "/"), ("/", #"\/"#), ("😀", "😀"), ("😀", #"\uD83D\ude00"#),
        ("a long name, longer than sixteen bytes", "a long name, longer than sixteen bytes"),
    ]

    static let leaves = [
        "null", "true", "false", "0", "-0", "1.0", "-1.50e+10", "12345678901234567890123", "1E400", #""""#, #""é""#,
        #""\u00e9\n\\""#, #""\ud800""#, #""{\"a\":[1,2]}""#, #""0123456789abcdef0123456789abcdef\"...""#,
        #""日本語のテキストと、もう少し長い文章""#,
    ]
}

/// A generator whose numbers are the same in each run.
struct Seeded: RandomNumberGenerator {
    private var state: UInt64

    init(_ seed: UInt64) {
        state = seed
    }

    /// SplitMix64.
    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }
}

extension JSONDocument {
    convenience init(text: String, maxDepth: Int = 128, recording: Int = 3) throws {
        try self.init(Array(text.utf8), maxDepth: maxDepth, recording: recording)
    }

    func text(_ value: JSONValue) -> String {
        String(decoding: raw(value), as: UTF8.self)
    }
}

extension SplicedText {
    var string: String {
        var bytes: [UInt8] = []
        append(to: &bytes)
        return String(decoding: bytes, as: UTF8.self)
    }
}
