/// A line that moves along the first axis and keeps what is allowed there on the second.
///
/// The second axis is cut at every bound into intervals that are allowed or not as a whole; allowed ones that touch are a
/// run. Wherever rectangles start or end, only the runs that changed are closed and opened anew: a run that goes on becomes
/// one rectangle, however many others start and end beside it.
struct Sweep {
    private let slabs: Bounds
    private let intervals: Bounds
    /// How many rectangles cover each interval where the line stands.
    private var counts: [(allow: Int32, deny: Int32)]
    /// Which intervals are allowed where the line stands, and which were before the last step.
    private var now: [Bool]
    private var before: [Bool]
    /// The slab in which a run opened, at its first interval.
    private var opened: [Int]
    private var result: [Rectangle] = []

    /// The disjoint rectangles of all points that lie in an `allow` rectangle and in no `deny` rectangle.
    static func cut(allow: [Rectangle], deny: [Rectangle]) -> [Rectangle] {
        if allow.isEmpty || (allow.count == 1 && deny.isEmpty) { return allow }
        var sweep = Sweep(allow + deny)
        var changes: [Change] = []
        changes.reserveCapacity(2 * (allow.count + deny.count))
        for rectangle in allow { sweep.note(rectangle, isAllow: true, in: &changes) }
        for rectangle in deny { sweep.note(rectangle, isAllow: false, in: &changes) }
        changes.sort { $0.slab < $1.slab }
        sweep.run(changes)
        return sweep.result
    }

    private init(_ rectangles: [Rectangle]) {
        slabs = Bounds(rectangles.map(\.first))
        intervals = Bounds(rectangles.map(\.second))
        counts = Array(repeating: (0, 0), count: intervals.count)
        now = Array(repeating: false, count: intervals.count)
        before = now
        opened = Array(repeating: 0, count: intervals.count)
    }

    /// A rectangle that starts (+1) or ends (-1) with a slab.
    private struct Change {
        var slab: Int
        var intervals: Range<Int>
        var isAllow: Bool
        var step: Int32
    }

    private func note(_ rectangle: Rectangle, isAllow: Bool, in changes: inout [Change]) {
        let span = slabs.indices(of: rectangle.first)
        let covered = intervals.indices(of: rectangle.second)
        changes.append(Change(slab: span.lowerBound, intervals: covered, isAllow: isAllow, step: 1))
        changes.append(Change(slab: span.upperBound, intervals: covered, isAllow: isAllow, step: -1))
    }

    private mutating func run(_ changes: [Change]) {
        var next = 0
        var touched: [Range<Int>] = []
        while next < changes.count {
            let slab = changes[next].slab
            touched.removeAll(keepingCapacity: true)
            while next < changes.count, changes[next].slab == slab {
                count(changes[next])
                touched.append(changes[next].intervals)
                next += 1
            }
            if touched.count > 1 { touched.sort { $0.lowerBound < $1.lowerBound } }
            var done = 0
            for range in touched where range.upperBound > done {
                done = renew(max(range.lowerBound, done)..<range.upperBound, at: slab)
            }
        }
    }

    private mutating func count(_ change: Change) {
        for interval in change.intervals {
            if change.isAllow {
                counts[interval].allow += change.step
            } else {
                counts[interval].deny += change.step
            }
            now[interval] = counts[interval].allow > 0 && counts[interval].deny == 0
        }
    }

    /// Closes and opens the runs that changed in the intervals, and gives the end of what is up to date.
    private mutating func renew(_ touched: Range<Int>, at slab: Int) -> Int {
        // Widened until no run, old or new, reaches across its bounds.
        var lower = touched.lowerBound
        var upper = touched.upperBound
        while lower > 0, now[lower - 1] || before[lower - 1] { lower -= 1 }
        while upper < now.count, now[upper] || before[upper] { upper += 1 }
        let old = Self.runs(of: before, in: lower..<upper)
        let new = Self.runs(of: now, in: lower..<upper)
        for run in Self.subtract(new, from: old) {
            let past = opened[run.lowerBound]..<slab
            result.append(Rectangle(first: slabs.values(of: past), second: intervals.values(of: run)))
        }
        for run in Self.subtract(old, from: new) { opened[run.lowerBound] = slab }
        for interval in lower..<upper { before[interval] = now[interval] }
        return upper
    }

    private static func runs(of isAllowed: [Bool], in window: Range<Int>) -> [Range<Int>] {
        var runs: [Range<Int>] = []
        var index = window.lowerBound
        while index < window.upperBound {
            let start = index
            while index < window.upperBound, isAllowed[index] { index += 1 }
            if start < index { runs.append(start..<index) }
            index += 1
        }
        return runs
    }

    /// The runs that are not among the others; both in order.
    private static func subtract(_ others: [Range<Int>], from runs: [Range<Int>]) -> [Range<Int>] {
        var index = 0
        return runs.filter { run in
            while index < others.count, others[index].lowerBound < run.lowerBound { index += 1 }
            return index == others.count || others[index] != run
        }
    }
}
