/// Walks strings of bytes that have their length before them in 8 bits: the protocols of ALPN (RFC 7301 §3.1).
package struct TLSStrings: Hashable, Sendable {
    private var offset: Int
    private let end: Int

    init(_ range: Range<Int>) {
        offset = range.lowerBound
        end = range.upperBound
    }

    /// Where the next string is in the message that the list was read from; nil behind the last.
    package mutating func next(in message: RawSpan) -> Range<Int>? {
        var cursor = TLSCursor(offset..<end)
        guard let string = cursor.vector8(in: message) else { return nil }
        offset = cursor.offset
        return string
    }
}
