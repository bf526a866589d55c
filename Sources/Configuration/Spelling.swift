/// Guesses what a mistyped name was meant to be.
enum Spelling {
    /// The one of `names` that is nearest to `word`, when that is near enough to be a likely slip: one change in three
    /// letters.
    static func nearestName(to word: String, among names: [String]) -> String? {
        let likely = names.filter { abs($0.utf8.count - word.utf8.count) <= allowedDistance(for: $0) }
        let ranked = likely.map { (name: $0, distance: editDistance(from: Array(word.utf8), to: Array($0.utf8))) }
        return ranked.filter { $0.distance <= allowedDistance(for: $0.name) }.min { $0.distance < $1.distance }?.name
    }

    /// The one of `names` that a value was probably meant to be: one that is near, or that it begins, or the word for "not at all".
    static func likelyChoice(for text: String, among names: [String]) -> String? {
        let word = text.lowercased()
        if ["false", "no", "none", "never", "disabled"].contains(word), names.contains("off") { return "off" }
        if let same = names.first(where: { $0 == word }) { return same }
        let isLong = word.utf8.count >= 3
        if isLong, let longer = names.first(where: { $0.hasPrefix(word) || word.hasPrefix($0) }) { return longer }
        return isLong ? nearestName(to: word, among: names) : nil
    }

    private static func allowedDistance(for name: String) -> Int {
        max(1, name.utf8.count / 3)
    }

    /// How many letters must be added, removed, replaced or swapped with their neighbour to turn one into the other.
    static func editDistance(from first: [UInt8], to second: [UInt8]) -> Int {
        var beforeLast: [Int] = []
        var last = Array(0...second.count)
        for row in first.indices {
            var current = [row + 1]
            for column in second.indices {
                let isSame = first[row] == second[column]
                var best = min(last[column + 1] + 1, current[column] + 1, last[column] + (isSame ? 0 : 1))
                if row > 0, column > 0, first[row] == second[column - 1], first[row - 1] == second[column] {
                    best = min(best, beforeLast[column - 1] + 1)
                }
                current.append(best)
            }
            (beforeLast, last) = (last, current)
        }
        return last[second.count]
    }
}
