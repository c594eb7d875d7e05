/// What a name may be at its place in a message.
enum NameRule {
    /// Compressed or not, without dots and NULs in its labels: whatever can become a name of ours.
    case strict
    /// Compressed or not, with any bytes in its labels: a mailbox, and names in records that nothing here looks into.
    case anyBytes
    /// Like `strict` and not compressed (RFC 9460 §2.2).
    case uncompressed
}

/// Where the labels of a name in a message are: checked, and not yet copied.
///
/// The work is bounded by 255 bytes of labels and 127 pointers, whatever the message is.
struct NameShape {
    /// How many pointers are followed: as many as a name can have labels.
    private static let pointerLimit = 127

    /// Where the name starts.
    let start: Int
    /// Behind the name at its place: behind its first pointer if it has one.
    private(set) var end = 0
    /// The length of the name in uncompressed form, in bytes.
    private(set) var count = 0
    /// Where the first pointer is; nil without one.
    private var pointer: Int?

    /// Reads the name at `start`, all of which up to its first pointer must lie below `limit`.
    ///
    /// A pointer leads to an earlier name, all of which lies below the place that the part of the name before it started at.
    init(at start: Int, before limit: Int, in bytes: RawSpan, _ rule: NameRule) throws(DNSError) {
        self.start = start
        var limit = limit
        var offset = start
        var lowest = start
        var pointers = 0
        while true {
            guard offset < limit, let length = bytes.byte(at: offset) else { throw overrun }
            switch length >> 6 {
            case 0:
                let next = offset + 1 + Int(length)
                count += 1 + Int(length)
                guard count <= DNSName.limit else { throw .name }
                if length == 0 {
                    if pointer == nil { end = next }
                    return
                }
                guard next <= limit, bytes.holds(Int(length), at: offset + 1) else { throw overrun }
                if rule != .anyBytes { try Self.check((offset + 1)..<next, bytes) }
                offset = next
            case 3:
                guard limit - offset >= 2, let word = bytes.network16(at: offset) else { throw overrun }
                let target = Int(word & 0x3fff)
                pointers += 1
                guard rule != .uncompressed, target >= DNSHeader.length, target < lowest,
                    pointers <= Self.pointerLimit
                else { throw .pointer }
                if pointer == nil {
                    pointer = offset
                    end = offset + 2
                }
                limit = lowest
                lowest = target
                offset = target
            default: throw .label
            }
        }
    }

    /// What it means that the name goes on where it may not.
    private var overrun: DNSError { pointer == nil ? .truncated : .pointer }

    /// Throws when the label has a dot or a NUL.
    @inline(__always)
    private static func check(_ label: Range<Int>, _ bytes: RawSpan) throws(DNSError) {
        for offset in label {
            if let byte = bytes.byte(at: offset), byte == UInt8(ascii: ".") || byte == 0 { throw .labelByte }
        }
    }

    /// The canonical form of the name, from the bytes that the shape was read from.
    func copy(from bytes: RawSpan) -> [UInt8] {
        [UInt8](capacity: count) { copy in
            // A label's length is never a letter, so that all bytes can be treated alike.
            var offset = start
            while !copy.isFull, let byte = bytes.byte(at: offset) {
                guard byte < 0xc0 || offset != pointer else { break }
                copy.append(byte.lowered)
                offset += 1
            }
            follow(offset, in: bytes, to: &copy)
        }
    }

    /// Copies what the pointer at `offset` leads to, label by label.
    private func follow(_ offset: Int, in bytes: RawSpan, to copy: inout OutputSpan<UInt8>) {
        var offset = offset
        while !copy.isFull, let length = bytes.byte(at: offset) {
            guard length < 0xc0 else {
                offset = Int((bytes.network16(at: offset) ?? 0) & 0x3fff)
                continue
            }
            for place in offset...(offset + Int(length)) where !copy.isFull {
                copy.append((bytes.byte(at: place) ?? 0).lowered)
            }
            offset += 1 + Int(length)
        }
    }
}

extension UInt8 {
    /// The byte with an ASCII capital made small.
    @inline(__always)
    var lowered: UInt8 { self &- 0x41 < 26 ? self | 0x20 : self }
}
