/// The packet numbers that were seen, as far back as 64 below the largest.
///
/// A server drops a packet whose number it has seen (RFC 9000 §12.3). If its frames counted here, the two would read different
/// messages.
struct QUICNumbers: Sendable {
    /// The number behind the largest that was seen; 0 before the first.
    private(set) var expected: UInt64 = 0
    /// Bit n: whether `expected - 1 - n` was seen.
    private var seen: UInt64 = 0

    /// Whether none was seen.
    var isEmpty: Bool { expected == 0 }

    /// Takes a number; false when it was seen, or is too old to know.
    mutating func insert(_ number: UInt64) -> Bool {
        if number >= expected {
            let step = number - expected + 1
            seen = step < 64 ? seen << step | 1 : 1
            expected = number + 1
            return true
        }
        let age = expected - 1 - number
        guard age < 64, seen & 1 << age == 0 else { return false }
        seen |= 1 << age
        return true
    }
}
