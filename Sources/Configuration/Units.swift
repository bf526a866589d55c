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
    static let size = Units([("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("", 1)])
    /// Milliseconds. Zero needs no unit.
    static let duration = Units([("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)])

    private let factors: [(unit: String, factor: Int)]

    private init(_ factors: [(String, Int)]) {
        self.factors = factors
    }

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

    /// `number` in the largest unit that gives a whole number.
    func formatNumber(_ number: Int) -> String {
        let fitting = factors.first { number.isMultiple(of: $0.factor) && number >= $0.factor }
        let (unit, factor) = fitting ?? ("", 1)
        return "\(number / factor)\(unit)"
    }
}
