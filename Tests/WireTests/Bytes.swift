import Glibc
import Wire

/// The bytes of hexadecimal digits; blanks and line breaks are left out, and `|` may mark where one header ends.
func hex(_ text: String) -> [UInt8] {
    let digits = text.compactMap(\.hexDigitValue).map(UInt8.init)
    precondition(digits.count.isMultiple(of: 2), "half a byte")
    return stride(from: 0, to: digits.count, by: 2).map { digits[$0] << 4 | digits[$0 + 1] }
}

extension [UInt8] {
    /// The bytes as the readers take them.
    var raw: RawSpan {
        @_lifetime(borrow self)
        borrowing get { unsafe span.bytes }
    }

    // `try?` and `catch` around a borrowed span crash the compiler (6.3.1), so the calls stand in functions of their own.

    func packet() throws -> Packet { try Packet(raw) }

    func queueMessage() throws -> QueueMessage { try QueueMessage(raw) }

    func logMessage() throws -> LogMessage { try LogMessage(raw) }

    func next(_ walk: inout NetlinkMessages) throws -> NetlinkMessage? { try walk.next(in: raw) }

    /// The bytes with some replaced.
    func with(_ replacement: [UInt8], at offset: Int) -> [UInt8] {
        var copy = self
        copy.replaceSubrange(offset..<(offset + replacement.count), with: replacement)
        return copy
    }

    /// The bytes with one to four of them changed, and now and then some missing or more at the end.
    func mutated(using random: inout some RandomNumberGenerator) -> [UInt8] {
        var copy = self
        for _ in 0..<Int.random(in: 1...4, using: &random) where !copy.isEmpty {
            let edges: [UInt8] = [0, 1, 4, 0x3f, 0x40, 0x7f, 0x80, 0xff, .random(in: 0...255, using: &random)]
            copy[Int.random(in: 0..<copy.count, using: &random)] = edges.randomElement(using: &random) ?? 0
        }
        switch Int.random(in: 0..<8, using: &random) {
        case 0: return Array(copy.prefix(Int.random(in: 0...copy.count, using: &random)))
        case 1: return copy + copy.prefix(Int.random(in: 0...40, using: &random))
        default: return copy
        }
    }
}

/// The seed of `EGRESSD_SEED`, or a new one; tests print it with every failure.
func testSeed() -> UInt64 {
    if let text = unsafe getenv("EGRESSD_SEED"), let seed = unsafe UInt64(String(cString: text)) { return seed }
    return UInt64.random(in: 0...UInt64.max)
}

/// The generator SplitMix64 (Steele, Lea, Flood 2014): the same numbers for the same seed everywhere.
struct SplitMix: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xbf58_476d_1ce4_e5b9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94d0_49bb_1331_11eb
        return mixed ^ (mixed >> 31)
    }
}
