extension Int {
    /// `count` times 2^10 bytes.
    static func kibibytes(_ count: Int) -> Int { count << 10 }
    /// `count` times 2^20 bytes.
    static func mebibytes(_ count: Int) -> Int { count << 20 }
    /// `count` times 2^30 bytes.
    static func gibibytes(_ count: Int) -> Int { count << 30 }
}

extension Duration {
    /// `count` minutes.
    static func minutes(_ count: Int) -> Duration { .seconds(count * 60) }
    /// `count` hours.
    static func hours(_ count: Int) -> Duration { .seconds(count * 3600) }
}

/// The units that a number may be written with, the largest first.
struct Units {
    /// Bytes; the bare number is bytes too.
    static let size = Units(
        [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("", 1)],
        otherNames: [("GiB", "g gb gib gi"), ("MiB", "m mb mib mi"), ("KiB", "k kb kib ki"), ("", "b byte bytes")])
    /// Milliseconds. Zero needs no unit.
    static let duration = Units(
        [("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)],
        otherNames: [
            ("h", "h hr hrs hour hours"), ("m", "m min mins minute minutes"),
            ("s", "s sec secs second seconds"), ("ms", "ms msec msecs millisecond milliseconds"),
        ])

    private let factors: [(unit: String, factor: Int)]
    /// What people write for a unit, in lower case.
    private let otherNames: [String: String]

    private init(_ factors: [(String, Int)], otherNames: [(unit: String, names: String)]) {
        self.factors = factors
        let pairs = otherNames.flatMap { unit, names in names.split(separator: " ").map { (String($0), unit) } }
        self.otherNames = Dictionary(pairs) { first, _ in first }
    }

    /// The units as the alternatives of a regular expression.
    var pattern: String { factors.map(\.unit).joined(separator: "|") }

    /// The number that `text` writes, in the smallest unit; nil when it is not digits and a known unit. What does not
    /// fit is `Int.max`, so that a range check refuses it.
    func parseNumber(_ text: String) -> Int? {
        let digits = text.utf8.prefix(while: \.isDigit)
        guard !digits.isEmpty else { return nil }
        let unit = text[digits.endIndex...]
        let number = Int(Substring(digits)) ?? .max
        if number == 0, unit.isEmpty { return 0 }
        guard let factor = factors.first(where: { $0.unit == unit })?.factor else { return nil }
        let (product, overflow) = number.multipliedReportingOverflow(by: factor)
        return overflow ? .max : product
    }

    /// How a number is written that was meant by a text such as `1h30m`, `10 min`, `4MB` or `1.5h`; nil where that is not clear.
    func likelySpelling(of text: String) -> String? {
        var rest = text.lowercased().filter { $0 != " " && $0 != "_" }[...]
        var sum = 0.0
        while !rest.isEmpty {
            let digits = rest.prefix { $0.isASCII && $0.isNumber || $0 == "." }
            rest = rest[digits.endIndex...]
            let name = rest.prefix { $0.isLetter }
            rest = rest[name.endIndex...]
            guard let number = Double(digits), let unit = otherNames[String(name)],
                let factor = factors.first(where: { $0.unit == unit })?.factor
            else { return nil }
            sum += number * Double(factor)
        }
        // Far below where a Double has gaps, and above any bound of a setting.
        guard sum > 0, sum < 1e15, sum == sum.rounded() else { return nil }
        return formatNumber(Int(sum))
    }

    /// `number` in the largest unit that gives a whole number.
    func formatNumber(_ number: Int) -> String {
        let fitting = factors.first { number.isMultiple(of: $0.factor) && number >= $0.factor }
        let (unit, factor) = fitting ?? ("", 1)
        return "\(number / factor)\(unit)"
    }
}
