/// Finds the ClientHello at the start of a TCP stream, over one or several TLS records.
///
/// ```
/// +---------------+-------------------------------+---------------+
/// | type 22       |    version: 3, then 0...4     |    length     |
/// +---------------+-------------------------------+---------------+
/// |  length       |  a part of the handshake message, 1...2^14 bytes
/// ```
///
/// RFC 8446 §5.1 and RFC 5246 §6.2.1. Give it the stream from its first byte, every time with what came since: each byte is
/// looked at once. A ClientHello in one record stays where it is; one in several is joined here. What follows its last record
/// is not read (early data, RFC 8446 §4.2.10). Never traps, whatever the bytes are.
package struct TLSRecords: Sendable {
    /// The most bytes that a ClientHello may have, its header of four included.
    package static let limit = 16_384

    private static let handshake: UInt8 = 22
    private static let headerLength = 5
    private static let fragmentLimit = 1 << 14

    /// Where the first record starts that is not read yet; behind the ClientHello's last record once it is whole.
    package private(set) var offset = 0
    /// How many bytes the ClientHello has with its header; nil while that is not read.
    private var total: Int?
    /// Where it is in the stream; nil when it is not whole, or joined.
    private var place: Range<Int>?
    /// The parts of one that lies in several records.
    private var joined: [UInt8] = []

    package init() {}

    /// Whether the ClientHello is whole.
    package var isWhole: Bool { place != nil || joined.count == total }

    /// Whether a stream that starts with these bytes, be they none, one or all of a record, can start with a ClientHello.
    package static func mayBegin(_ bytes: RawSpan) -> Bool {
        var records = TLSRecords()
        do throws(TLSError) {
            _ = try records.read(bytes)
            return true
        } catch {
            return false
        }
    }

    /// Reads on in the stream: whether the ClientHello is whole.
    ///
    /// What no byte to come can mend is an error as early as it is seen, and the same one when asked again.
    package mutating func read(_ bytes: RawSpan) throws(TLSError) -> Bool {
        while !isWhole {
            guard let length = try Self.fragmentLength(at: offset, in: bytes) else { return false }
            let start = offset + Self.headerLength
            let end = start + length
            try readHeader(start..<min(end, bytes.byteCount), in: bytes)
            if let total, joined.count + length > total { throw .trailing }
            guard take(start..<end, in: bytes) else { return false }
            offset = end
        }
        return true
    }

    /// The ClientHello with its header, from the bytes that it was read from; empty until it is whole.
    @_lifetime(borrow self, copy bytes)
    package borrowing func message(in bytes: RawSpan) -> RawSpan {
        guard let place else { return unsafe isWhole ? joined.span.bytes : RawSpan() }
        return bytes.holds(place.count, at: place.lowerBound) ? bytes.extracting(place) : RawSpan()
    }

    /// How long the record at `offset` is, without its header; nil while that is not whole.
    private static func fragmentLength(at offset: Int, in bytes: RawSpan) throws(TLSError) -> Int? {
        guard let type = bytes.byte(at: offset) else { return nil }
        guard type == handshake else { throw .contentType(type) }
        guard let major = bytes.byte(at: offset + 1) else { return nil }
        guard major == 3 else { throw .recordVersion }
        guard let minor = bytes.byte(at: offset + 2) else { return nil }
        guard minor <= 4 else { throw .recordVersion }
        guard let high = bytes.byte(at: offset + 3) else { return nil }
        guard Int(high) << 8 <= fragmentLimit else { throw .recordLength }
        guard let length = bytes.network16(at: offset + 3).map(Int.init) else { return nil }
        guard (1...fragmentLimit).contains(length) else { throw .recordLength }
        return length
    }

    /// Judges as much as there is of the message's header, which may lie in several records.
    private mutating func readHeader(_ part: Range<Int>, in bytes: RawSpan) throws(TLSError) {
        guard total == nil else { return }
        func byte(_ index: Int) -> UInt8? {
            if index < joined.count { return joined[index] }
            let offset = part.lowerBound + index - joined.count
            return offset < part.upperBound ? bytes.byte(at: offset) : nil
        }
        guard let type = byte(0) else { return }
        guard type == TLSClientHello.handshakeType else { throw .handshakeType(type) }
        guard let high = byte(1), let middle = byte(2), let low = byte(3) else { return }
        let total = TLSClientHello.headerLength + (Int(high) << 16 | Int(middle) << 8 | Int(low))
        guard total <= Self.limit else { throw .tooLong(total) }
        self.total = total
    }

    /// Keeps a record's part of the message; false when it is not all there.
    private mutating func take(_ part: Range<Int>, in bytes: RawSpan) -> Bool {
        guard bytes.holds(part.count, at: part.lowerBound) else { return false }
        if joined.isEmpty, part.count == total {
            place = part
            return true
        }
        if let total { joined.reserveCapacity(total) }
        return bytes.append(part, to: &joined)
    }
}
