import Glibc

/// The generator SplitMix64 (Steele, Lea, Flood 2014): the same numbers for the same seed everywhere.
package struct SplitMix: RandomNumberGenerator, Sendable {
    private var state: UInt64

    package init(state: UInt64) { self.state = state }

    package mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xbf58_476d_1ce4_e5b9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94d0_49bb_1331_11eb
        return mixed ^ (mixed >> 31)
    }

    /// True so often in a hundred.
    package mutating func chance(_ percent: Int) -> Bool { Int.random(in: 0..<100, using: &self) < percent }

    package mutating func pick<Element>(_ elements: [Element]) -> Element {
        elements[Int.random(in: 0..<elements.count, using: &self)]
    }
}

extension SplitMix {
    /// The seed of `EGRESSD_SEED`, or a new one; tests print it with every failure.
    package static func seed() -> UInt64 { number(of: "EGRESSD_SEED") ?? seeds(1)[0] }

    /// The seed of `EGRESSD_SEED` alone, or so many: those that follow `EGRESSD_SEEDS`, or new ones.
    package static func seeds(_ count: Int) -> [UInt64] {
        if let wanted = number(of: "EGRESSD_SEED") { return [wanted] }
        var random = SplitMix(state: number(of: "EGRESSD_SEEDS") ?? UInt64.random(in: 0...UInt64.max))
        return (0..<count).map { _ in random.next() }
    }

    private static func number(of variable: String) -> UInt64? {
        guard let text = unsafe getenv(variable) else { return nil }
        return unsafe UInt64(String(cString: text))
    }
}
