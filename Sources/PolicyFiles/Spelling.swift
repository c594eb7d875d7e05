/// Finds what somebody meant who wrote something else.
enum Spelling {
    /// The candidate that the word is a misspelling of: about a third of its letters wrong at most.
    static func nearest(to word: String, among candidates: [String]) -> String? {
        let word = Array(word.lowercased().utf8.prefix(64))
        let ranked = candidates.map { ($0, distance(word, Array($0.utf8))) }
        guard let best = ranked.min(by: { $0.1 < $1.1 }), best.1 <= (best.0.utf8.count + 1) / 3 else { return nil }
        return best.0
    }

    /// The least number of insertions, removals, replacements and swaps of neighbours (optimal string alignment).
    static func distance(_ left: [UInt8], _ right: [UInt8]) -> Int {
        guard !left.isEmpty, !right.isEmpty else { return max(left.count, right.count) }
        var (beforeLast, last) = ([Int](), Array(0...right.count))
        for i in 1...left.count {
            var row = [i] + [Int](repeating: 0, count: right.count)
            for j in 1...right.count {
                let isSame = left[i - 1] == right[j - 1]
                row[j] = min(last[j] + 1, row[j - 1] + 1, last[j - 1] + (isSame ? 0 : 1))
                if i > 1, j > 1, left[i - 1] == right[j - 2], left[i - 2] == right[j - 1] {
                    row[j] = min(row[j], beforeLast[j - 2] + 1)
                }
            }
            (beforeLast, last) = (last, row)
        }
        return last[right.count]
    }
}
