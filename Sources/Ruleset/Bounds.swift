/// An axis cut at every start of a range and behind every end: intervals that each range covers whole or not at all.
struct Bounds {
    private let starts: [UInt128]

    init(_ ranges: [ClosedRange<UInt128>]) {
        var points: [UInt128] = []
        points.reserveCapacity(2 * ranges.count)
        for range in ranges {
            points.append(range.lowerBound)
            // Nothing starts behind the last number of all: there the last interval ends.
            if range.upperBound < .max { points.append(range.upperBound + 1) }
        }
        points.sort()
        var starts: [UInt128] = []
        starts.reserveCapacity(points.count)
        for point in points where starts.last != point { starts.append(point) }
        self.starts = starts
    }

    /// How many intervals there are; the last one reaches to the end of the axis.
    var count: Int { starts.count }

    /// The intervals that make up a range that the axis was cut by.
    func indices(of range: ClosedRange<UInt128>) -> Range<Int> {
        let end = range.upperBound == .max ? count : index(of: range.upperBound + 1)
        return index(of: range.lowerBound)..<end
    }

    /// The numbers of adjacent intervals.
    func values(of indices: Range<Int>) -> ClosedRange<UInt128> {
        starts[indices.lowerBound]...(indices.upperBound < count ? starts[indices.upperBound] - 1 : .max)
    }

    private func index(of start: UInt128) -> Int {
        var low = 0
        var high = starts.count
        while low < high {
            let middle = (low + high) / 2
            if starts[middle] < start { low = middle + 1 } else { high = middle }
        }
        return low
    }
}
