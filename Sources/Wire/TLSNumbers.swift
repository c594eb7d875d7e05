/// A list of numbers of 16 bits in a ClientHello: cipher suites, versions, signature algorithms.
package struct TLSNumbers: Hashable, Sendable {
    /// Where the list is, without its length.
    package let range: Range<Int>

    init(_ range: Range<Int>) { self.range = range }

    /// How many there are.
    package var count: Int { range.count / 2 }

    /// The number at `index`, from the message that the list was read from; nil outside of the list.
    @inline(__always)
    package func number(at index: Int, in message: RawSpan) -> UInt16? {
        guard index >= 0, index < count else { return nil }
        return message.network16(at: range.lowerBound + 2 * index)
    }
}

extension UInt16 {
    /// Whether a program put this into a list of TLS only to see that it is passed over (RFC 8701 §2): 0x0a0a, 0x1a1a, ….
    package var isGrease: Bool { self & 0x0f0f == 0x0a0a && self >> 8 == self & 0xff }
}
