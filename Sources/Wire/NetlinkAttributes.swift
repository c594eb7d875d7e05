import Model

/// Walks the attributes in a range of a netlink message.
///
/// Reads `struct nlattr` of `linux/netlink.h`, in the byte order of this machine; each attribute starts at a multiple of 4
/// from the first:
///
/// ```
/// +---------------+---+-----------+
/// |    length     |N|B|   type    |    N: nested attributes, B: value in network byte order
/// +---------------+---+-----------+
/// |         value, padding        |
/// ```
package struct NetlinkAttributes: Sendable {
    /// An attribute: its number without the flag bits, and where its value is.
    package struct Attribute: Hashable, Sendable {
        package let type: UInt16
        package let value: Range<Int>
    }

    private var offset: Int
    private let end: Int

    /// The attributes in a range of the bytes that will be given to `next`; what is outside of them is left out.
    package init(_ range: Range<Int>) {
        offset = range.lowerBound
        end = range.upperBound
    }

    /// The next attribute, or nil behind the last.
    ///
    /// A length that does not fit ends the walk with an error.
    package mutating func next(in bytes: RawSpan) throws(MessageError) -> Attribute? {
        let start = offset
        let end = min(end, bytes.byteCount)
        guard start < end else { return nil }
        // Taken back below, when the attribute turns out to be whole.
        offset = end
        guard end - start >= 4, let length = bytes.host16(at: start), let type = bytes.host16(at: start + 2) else {
            throw .truncated
        }
        guard length >= 4, Int(length) <= end - start else { throw .length }
        offset = start + aligned(Int(length))
        return Attribute(type: type & 0x3fff, value: (start + 4)..<(start + Int(length)))
    }
}

extension NetlinkAttributes.Attribute {
    /// The value's first byte.
    func byte(in bytes: RawSpan, at offset: Int = 0) throws(MessageError) -> UInt8 {
        guard value.count > offset, let read = bytes.byte(at: value.lowerBound + offset) else {
            throw .shortAttribute(type)
        }
        return read
    }

    /// 16 bits of the value, in network byte order.
    func network16(in bytes: RawSpan, at offset: Int = 0) throws(MessageError) -> UInt16 {
        guard value.count >= offset + 2, let read = bytes.network16(at: value.lowerBound + offset) else {
            throw .shortAttribute(type)
        }
        return read
    }

    /// 32 bits of the value, in network byte order.
    func network32(in bytes: RawSpan, at offset: Int = 0) throws(MessageError) -> UInt32 {
        guard value.count >= offset + 4, let read = bytes.network32(at: value.lowerBound + offset) else {
            throw .shortAttribute(type)
        }
        return read
    }

    /// 64 bits of the value, in network byte order.
    func network64(in bytes: RawSpan, at offset: Int = 0) throws(MessageError) -> UInt64 {
        guard value.count >= offset + 8, let read = bytes.network64(at: value.lowerBound + offset) else {
            throw .shortAttribute(type)
        }
        return read
    }

    /// Seconds and microseconds since 1970, 64 bits each; nil when they are no time that can be written down.
    func time(in bytes: RawSpan) throws(MessageError) -> WallTime? {
        let seconds = try network64(in: bytes)
        let microseconds = try network64(in: bytes, at: 8)
        guard seconds < UInt64(Int64.max / 1_000_000), microseconds < 1_000_000 else { return nil }
        return WallTime(microseconds: Int64(seconds) * 1_000_000 + Int64(microseconds))
    }
}
