/// A place in a field block that is being read; give it the same bytes every time.
struct HPACKCursor {
    private var offset: Int
    private let end: Int

    init(_ range: Range<Int>) {
        offset = range.lowerBound
        end = range.upperBound
    }

    /// Whether all of the range was read.
    var isAtEnd: Bool { offset >= end }

    /// The byte that comes next; nil at the end.
    func next(in bytes: RawSpan) -> UInt8? { isAtEnd ? nil : bytes.byte(at: offset) }

    private mutating func take(in bytes: RawSpan) throws(HPACKError) -> UInt8 {
        guard let byte = next(in: bytes) else { throw .truncated }
        offset += 1
        return byte
    }

    /// A number in the low bits of the next byte and in those behind it (§5.1); at most 2^28 and four bytes behind.
    mutating func integer(in bytes: RawSpan, prefix: Int) throws(HPACKError) -> Int {
        let most = 1 << prefix - 1
        var value = Int(try take(in: bytes)) & most
        guard value == most else { return value }
        for shift in stride(from: 0, to: 28, by: 7) {
            let byte = Int(try take(in: bytes))
            value += (byte & 0x7f) << shift
            guard byte & 0x80 != 0 else { return value }
        }
        throw .integer
    }

    /// A string with its length before it, as it is or in Huffman's code (§5.2).
    mutating func string(in bytes: RawSpan) throws(HPACKError) -> [UInt8] {
        let isHuffman = (next(in: bytes) ?? 0) & 0x80 != 0
        let length = try integer(in: bytes, prefix: 7)
        guard length <= end - offset else { throw .truncated }
        let range = offset..<(offset + length)
        offset += length
        guard isHuffman else {
            guard length <= HPACKDecoder.limit else { throw .tooLarge }
            return bytes.copy(range)
        }
        return try HPACKHuffman.decode(bytes, in: range, limit: HPACKDecoder.limit)
    }
}
