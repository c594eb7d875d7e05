import CAllocations
import Model

/// What one way of reading one input costs.
struct Row {
    let reader: String
    let input: String
    let bytes: Int
    /// The median of the batches, for one read.
    let nanoseconds: Double
    /// The mean over all reads.
    let allocations: Double

    /// Measures `read`, which is called a number of times that it is told, in 31 batches of about 10 ms.
    init(_ reader: String, _ input: String, bytes: Int, read: (_ count: Int) -> Void) {
        self.reader = reader
        self.input = input
        self.bytes = bytes
        let clock = ContinuousClock()
        read(100)
        let once = clock.measure { read(1000) } / 1000
        let count = max(100, Int(.milliseconds(10) / max(once, .nanoseconds(1))))
        var times = [Duration](repeating: .zero, count: 31)
        let before = bench_allocations()
        for batch in times.indices { times[batch] = clock.measure { read(count) } }
        let allocated = bench_allocations() - before
        allocations = Double(allocated) / Double(count * times.count)
        nanoseconds = times.sorted()[times.count / 2] / .nanoseconds(1) / Double(count)
    }

    var json: JSON {
        [
            "reader": .string(reader), "input": .string(input), "bytes": .integer(Int64(bytes)),
            "nanoseconds": .number(nanoseconds), "allocations": .number(allocations),
        ]
    }
}
