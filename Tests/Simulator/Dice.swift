import SimulatedKernel

/// The dice of the run: everything by chance is thrown here.
enum Dice {
    static func number(_ range: ClosedRange<Int>) -> Int {
        range.lowerBound + Int(truncatingIfNeeded: sim_dice() >> 1) % (range.upperBound - range.lowerBound + 1)
    }

    /// Whether it happens, which it does so many times of a thousand.
    static func happens(_ permille: Int) -> Bool { permille > 0 && number(0...999) < permille }

    static func one<Value>(of values: [Value]) -> Value { values[number(0...values.count - 1)] }

    static func one<Value>(by weights: [(Value, Int)]) -> Value {
        var rest = number(0...weights.reduce(0) { $0 + $1.1 } - 1)
        for (value, weight) in weights {
            if rest < weight { return value }
            rest -= weight
        }
        return weights[0].0
    }

    /// A time in nanoseconds, short ones as likely as long ones.
    static func time(upTo most: Int64) -> Int64 {
        let shift = number(0...14)
        return Int64(number(0...Int(most))) >> Int64(shift)
    }
}

let microsecond: Int64 = 1000
let millisecond: Int64 = 1_000_000
let second: Int64 = 1_000_000_000
