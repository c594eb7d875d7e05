/// A place in a QUIC packet that is being read: its header, or the frames that it held.
///
/// Reads stop at `end`. The cursor keeps its place alone: give it the same bytes every time.
struct QUICCursor {
    private(set) var offset: Int
    let end: Int

    init(_ range: Range<Int>) {
        offset = range.lowerBound
        end = range.upperBound
    }

    /// Whether all of the range was read.
    var isAtEnd: Bool { offset >= end }

    @inline(__always)
    mutating func take8(in bytes: RawSpan) -> UInt8? {
        guard offset < end, let value = bytes.byte(at: offset) else { return nil }
        offset += 1
        return value
    }

    /// A number of variable length (RFC 9000 §16): the two high bits of its first byte say how many bytes it has.
    @inline(__always)
    mutating func number(in bytes: RawSpan) -> UInt64? {
        guard let first = bytes.byte(at: offset) else { return nil }
        let size = 1 << Int(first >> 6)
        guard size <= end - offset else { return nil }
        defer { offset += size }
        switch size {
        case 1: return UInt64(first)
        case 2: return bytes.network16(at: offset).map { UInt64($0 & 0x3fff) }
        case 4: return bytes.network32(at: offset).map { UInt64($0 & 0x3fff_ffff) }
        default: return bytes.network64(at: offset).map { $0 & 0x3fff_ffff_ffff_ffff }
        }
    }

    /// The place of `count` bytes, which are passed over.
    @inline(__always)
    mutating func skip(_ count: UInt64) -> Range<Int>? {
        guard offset <= end, count <= UInt64(end - offset) else { return nil }
        defer { offset += Int(count) }
        return offset..<(offset + Int(count))
    }

    /// Passes over zero bytes.
    mutating func skipZeros(in bytes: RawSpan) {
        while end - offset >= 8, bytes.network64(at: offset) == 0 { offset += 8 }
        while offset < end, bytes.byte(at: offset) == 0 { offset += 1 }
    }
}
