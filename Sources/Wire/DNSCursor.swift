/// A place in a DNS message that is being read.
///
/// Reads stop at `end`; only what a compression pointer leads to lies elsewhere. The cursor keeps its place alone: give it the
/// same bytes, the whole message, every time.
struct DNSCursor {
    private(set) var offset: Int
    let end: Int
    /// The name of the first question, once it is read: the pointer that most owners are stands for it.
    var first: DNSName?

    init(_ range: Range<Int>, first: DNSName? = nil) {
        offset = range.lowerBound
        end = range.upperBound
        self.first = first
    }

    /// Whether all of the range was read.
    var isAtEnd: Bool { offset == end }

    /// The bytes that are left.
    var rest: Range<Int> { offset..<max(offset, end) }

    @inline(__always)
    mutating func take8(in bytes: RawSpan) throws(DNSError) -> UInt8 {
        guard end - offset >= 1, let value = bytes.byte(at: offset) else { throw .truncated }
        offset += 1
        return value
    }

    /// 16 bits in network byte order.
    @inline(__always)
    mutating func take16(in bytes: RawSpan) throws(DNSError) -> UInt16 {
        guard end - offset >= 2, let value = bytes.network16(at: offset) else { throw .truncated }
        offset += 2
        return value
    }

    /// 32 bits in network byte order.
    @inline(__always)
    mutating func take32(in bytes: RawSpan) throws(DNSError) -> UInt32 {
        guard end - offset >= 4, let value = bytes.network32(at: offset) else { throw .truncated }
        offset += 4
        return value
    }

    /// The place of `count` bytes, which are passed over.
    @inline(__always)
    mutating func skip(_ count: Int) throws(DNSError) -> Range<Int> {
        guard count >= 0, count <= end - offset else { throw .truncated }
        defer { offset += count }
        return offset..<(offset + count)
    }

    /// A name, in canonical form, as the rule for this place allows it.
    mutating func name(in bytes: RawSpan, _ rule: NameRule = .strict) throws(DNSError) -> DNSName {
        if rule != .uncompressed, let first, end - offset >= 2, bytes.network16(at: offset) == 0xc00c {
            offset += 2
            return first
        }
        let shape = try NameShape(at: offset, before: end, in: bytes, rule)
        offset = shape.end
        return DNSName(canonical: shape.copy(from: bytes))
    }

    /// Name, type and class of a question.
    mutating func question(in bytes: RawSpan) throws(DNSError) -> DNSQuestion {
        let name = try name(in: bytes)
        let type = DNSType(rawValue: try take16(in: bytes))
        return DNSQuestion(name: name, type: type, class: try take16(in: bytes))
    }
}

extension RawSpan {
    /// A copy of the bytes in a range; empty when they are not all there.
    func copy(_ range: Range<Int>) -> [UInt8] {
        guard holds(range.count, at: range.lowerBound) else { return [] }
        return [UInt8](capacity: range.count) { copy in
            for offset in range {
                if let byte = byte(at: offset) { copy.append(byte) }
            }
        }
    }
}
