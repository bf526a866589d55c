import TestSupport
import Testing

@testable import Gateway

@Suite struct SparesTests {
    @Test func aLineIsLeftFromWhereverOneStands() {
        var line = Line<Int>()
        for number in 1...5 { line.append(number) }
        line.append(1)
        var seen: [Int?] = []
        for number in [3, 1, 5, 9, 2, 4] {
            line.remove(number)
            seen.append(line.first)
        }
        #expect(seen == [1, 2, 2, 2, 4, nil])
        #expect(line.isEmpty && !line.contains(4))
        line.append(7)
        #expect(line.first == 7 && line.count == 1)
    }

    /// The same as a list that is searched, whatever is done in whatever order.
    @Test func isWhatASearchFinds() {
        var random = SplitMix(state: 7)
        var spares = Spares<Int, Int>()
        var list: [(owner: Int, element: Int)] = []
        for step in 0..<20_000 {
            let element = Int.random(in: 0..<30, using: &random)
            let owner = element % 4
            if Int.random(in: 0..<5, using: &random) < (step / 500 % 2 == 0 ? 3 : 1) {
                spares.insert(element, of: owner)
                if !list.contains(where: { $0.element == element }) { list.append((owner, element)) }
            } else {
                spares.remove(element)
                list.removeAll { $0.element == element }
            }
            let counts = (0..<4).map { owner in list.count { $0.owner == owner } }
            for owner in 0..<4 where spares.longestSpare(of: owner) != list.first(where: { $0.owner == owner })?.element
            {
                Issue.record("step \(step): the longest of \(owner)")
            }
            let largest = spares.longestOfTheLargest
            guard spares.count == list.count, (largest == nil) == list.isEmpty else {
                Issue.record("step \(step): \(spares.count) of \(list.count)")
                return
            }
            if let largest, counts[largest % 4] != counts.max() || spares.longestSpare(of: largest % 4) != largest {
                Issue.record("step \(step): \(largest) of \(counts)")
            }
        }
    }
}
