import Wire

/// SHA-256 (FIPS 180-4), for tests of what needs nothing else of a cryptographic library.
struct PlainHash: Cryptography {
    private static let primes = (2...311).filter { number in !(2..<number).contains { number % $0 == 0 } }
    /// The first 32 bits behind the point of the roots (FIPS 180-4 §4.2.2, §5.3.3).
    private static let start = primes.prefix(8).map { fraction(ofRoot: 2, of: $0) }
    private static let constants = primes.map { fraction(ofRoot: 3, of: $0) }

    func sha256(_ bytes: RawSpan) -> [UInt8] {
        var message = bytes.bytes + [0x80]
        message += [UInt8](repeating: 0, count: (120 - message.count % 64) % 64)
        message += (0..<8).map { UInt8(truncatingIfNeeded: UInt64(bytes.byteCount * 8) >> UInt64(56 - 8 * $0)) }
        var state = Self.start
        for start in stride(from: 0, to: message.count, by: 64) {
            let change = Self.compress(Array(message[start..<(start + 64)]), state)
            state = zip(state, change).map { $0 &+ $1 }
        }
        return state.flatMap { word in [24, 16, 8, 0].map { UInt8(truncatingIfNeeded: word >> UInt32($0)) } }
    }

    func extract(salt: RawSpan, secret: RawSpan) -> [UInt8] { [] }

    func expand(secret: RawSpan, info: RawSpan, count: Int) -> [UInt8] { [] }

    func encryptBlock(key: RawSpan, _ block: RawSpan) -> [UInt8]? { nil }

    func openGCM(key: RawSpan, nonce: RawSpan, additional: RawSpan, sealed: RawSpan) -> [UInt8]? { nil }

    /// The largest number whose power is not above the prime, with 32 bits behind the point, of which these are the result.
    private static func fraction(ofRoot degree: Int, of prime: Int) -> UInt32 {
        let target = UInt128(prime) << UInt128(32 * degree)
        var root: UInt128 = 0
        for bit in (0..<37).reversed() {
            let larger = root | 1 << UInt128(bit)
            if (1..<degree).reduce(larger, { power, _ in power * larger }) <= target { root = larger }
        }
        return UInt32(truncatingIfNeeded: root)
    }

    private static func compress(_ block: [UInt8], _ state: [UInt32]) -> [UInt32] {
        func turned(_ word: UInt32, _ by: [UInt32]) -> UInt32 {
            by.reduce(0) { $0 ^ (word >> $1 | word << (32 - $1)) }
        }
        var words = stride(from: 0, to: 64, by: 4).map { start in
            block[start..<(start + 4)].reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
        }
        for index in 16..<64 {
            let early = words[index - 15]
            let late = words[index - 2]
            let first = turned(early, [7, 18]) ^ early >> 3
            let second = turned(late, [17, 19]) ^ late >> 10
            words.append(words[index - 16] &+ first &+ words[index - 7] &+ second)
        }
        var at = state
        for (constant, word) in zip(constants, words) {
            let choice = at[4] & at[5] ^ ~at[4] & at[6]
            let majority = at[0] & at[1] ^ at[0] & at[2] ^ at[1] & at[2]
            let first = at[7] &+ turned(at[4], [6, 11, 25]) &+ choice &+ constant &+ word
            let second = turned(at[0], [2, 13, 22]) &+ majority
            at = [first &+ second, at[0], at[1], at[2], at[3] &+ first, at[4], at[5], at[6]]
        }
        return at
    }
}
