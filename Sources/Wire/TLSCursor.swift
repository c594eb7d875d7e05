/// A place in a ClientHello that is being read: reads stop at `end`.
///
/// The cursor keeps its place alone: give it the same bytes, the whole message, every time.
struct TLSCursor {
    private(set) var offset: Int
    let end: Int

    init(_ range: Range<Int>) {
        offset = range.lowerBound
        end = range.upperBound
    }

    /// Whether all of the range was read.
    var isAtEnd: Bool { offset == end }

    @inline(__always)
    mutating func take8(in bytes: RawSpan) -> UInt8? {
        guard end - offset >= 1, let value = bytes.byte(at: offset) else { return nil }
        offset += 1
        return value
    }

    /// 16 bits in network byte order.
    @inline(__always)
    mutating func take16(in bytes: RawSpan) -> UInt16? {
        guard end - offset >= 2, let value = bytes.network16(at: offset) else { return nil }
        offset += 2
        return value
    }

    /// The place of `count` bytes, which are passed over.
    @inline(__always)
    mutating func skip(_ count: Int) -> Range<Int>? {
        guard count >= 0, count <= end - offset else { return nil }
        defer { offset += count }
        return offset..<(offset + count)
    }

    /// The place of a vector whose length, in bytes, stands before it in 8 bits (RFC 8446 §3.4).
    @inline(__always)
    mutating func vector8(in bytes: RawSpan) -> Range<Int>? {
        guard let count = take8(in: bytes) else { return nil }
        return skip(Int(count))
    }

    /// The place of a vector whose length, in bytes, stands before it in 16 bits (RFC 8446 §3.4).
    @inline(__always)
    mutating func vector16(in bytes: RawSpan) -> Range<Int>? {
        guard let count = take16(in: bytes) else { return nil }
        return skip(Int(count))
    }
}
