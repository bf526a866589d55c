/// New text in the place of a part of the document.
struct Replacement {
    /// The part that goes; empty where something is only inserted.
    var range: Range<Int>
    /// Where the new text is among the splice's inserted bytes; empty where something is only removed.
    var text: Range<Int>
    /// Of two at the same place, this one is not made.
    var givesWay = false
}

extension Replacement: Comparable {
    /// In the order of the text. At the same place, what is only inserted comes before what is removed after it, the
    /// outer replacement before the inner, and what wins over `replace` before it.
    static func < (left: Self, right: Self) -> Bool {
        if left.range.lowerBound != right.range.lowerBound {
            return left.range.lowerBound < right.range.lowerBound
        }
        if left.range.isEmpty != right.range.isEmpty {
            return left.range.isEmpty
        }
        if left.range.upperBound != right.range.upperBound {
            return left.range.upperBound > right.range.upperBound
        }
        return !left.givesWay && right.givesWay
    }
}
