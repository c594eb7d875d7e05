/// A packet with a long header, as far as it is to be read without keys (RFC 9000 §17.2).
///
/// ```
///  0 1 2 3 4 5 6 7
/// +-+-+-+-+-+-+-+-+
/// |1|1|typ|res|pnl|  res, pnl: protected
/// +-+-+-+-+-+-+-+-+-----------------------+
/// |                version                |  32 bits
/// +---------------+-----------------------+
/// |     length    |   destination id …    |  0 to 20 bytes
/// +---------------+-----------------------+
/// |     length    |     source id …       |  0 to 20 bytes
/// +---------------+-----------------------+
/// |  length (i)   |       token …         |  in an Initial only
/// +---------------+-----------------------+
/// |              length (i)               |  of all that follows
/// +---------------------------------------+
/// |  packet number … (1 to 4, protected)  |
/// +---------------------------------------+
/// |       sealed frames, tag (16)         |
/// +---------------------------------------+
/// ```
struct QUICPacket {
    /// What a client can send before a server answers.
    enum Kind: Hashable, Sendable {
        case initial
        case zeroRTT
    }

    /// The longest connection id of the versions that are read.
    static let idLimit = 20

    let version: QUICVersion
    let kind: Kind
    /// Where the destination's connection id is.
    let destination: Range<Int>
    /// Where the source's connection id is.
    let source: Range<Int>
    /// The header up to the packet number.
    let header: Range<Int>
    /// Where the packet ends; another may follow in the same datagram.
    let end: Int

    /// Reads the packet that starts at an offset of a datagram.
    init(_ bytes: RawSpan, at start: Int) throws(QUICError) {
        var cursor = QUICCursor(start..<max(start, bytes.byteCount))
        let (version, first) = try Self.version(&cursor, bytes)
        guard let known = QUICVersion(rawValue: version) else { throw .unknownVersion(version) }
        guard first & 0x40 != 0 else { throw .header }
        guard let kind = known.kind(first) else { throw .packetType }
        self.version = known
        self.kind = kind
        destination = try Self.id(&cursor, bytes)
        source = try Self.id(&cursor, bytes)
        if kind == .initial {
            guard let count = cursor.number(in: bytes), cursor.skip(count) != nil else { throw .truncated }
        }
        guard let count = cursor.number(in: bytes) else { throw .truncated }
        header = start..<cursor.offset
        // What masks the header is taken from behind the longest packet number, so there is at least that.
        guard count >= UInt64(QUICKeys.numberLimit + QUICKeys.sampleSize), let rest = cursor.skip(count) else {
            throw .truncated
        }
        end = rest.upperBound
    }

    /// The version, and the first byte, of which a header of any version has the highest bit set (RFC 8999 §5.1).
    static func version(_ cursor: inout QUICCursor, _ bytes: RawSpan) throws(QUICError) -> (UInt32, UInt8) {
        guard let first = cursor.take8(in: bytes) else { throw .truncated }
        guard first & 0x80 != 0 else { throw .header }
        guard let place = cursor.skip(4), let version = bytes.network32(at: place.lowerBound) else { throw .truncated }
        return (version, first)
    }

    /// Where the connection id is that a byte with its length stands before.
    static func id(_ cursor: inout QUICCursor, _ bytes: RawSpan) throws(QUICError) -> Range<Int> {
        guard let count = cursor.take8(in: bytes) else { throw .truncated }
        guard Int(count) <= idLimit else { throw .connectionID }
        guard let place = cursor.skip(UInt64(count)) else { throw .truncated }
        return place
    }
}
