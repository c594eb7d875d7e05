/// The first flight of a QUIC client: one datagram or several that together bring its ClientHello.
///
/// Opens Initial packets of versions 1 and 2, coalesced ones too, and puts the CRYPTO frames together. It reads what a server
/// that follows RFC 9000 would read: what such a server drops or closes the connection for is refused, else it might go by
/// another ClientHello than the one that was judged. No server has answered as long as the flight is held, so that every packet
/// has the version and the connection ids of the first.
///
/// Never traps, whatever the bytes are. Holds at most 16 KiB and 64 gaps; how many datagrams it is given is the caller's to
/// bound. After an error it is of no further use: the flow is to be refused.
package struct QUICFlight: Sendable {
    /// What is known after a datagram.
    package enum Progress: Hashable, Sendable {
        /// More of the ClientHello is to come.
        case incomplete
        /// The ClientHello with its header of 4 bytes: type 1 and its length (RFC 8446 §4).
        case hello([UInt8])
    }

    /// The least bytes of a datagram with an Initial (RFC 9000 §14.1).
    package static let smallestDatagram = 1200
    /// The least bytes of the destination that a client makes up (RFC 9000 §7.2).
    static let smallestID = 8

    private let cryptography: any Cryptography
    /// The version of the first packet; nil before it.
    package private(set) var version: QUICVersion?
    /// The destination's connection id, which the client made up and the keys come from.
    package private(set) var destination: [UInt8] = []
    /// The client's own connection id; may be empty.
    package private(set) var source: [UInt8] = []
    private var keys: QUICKeys?
    private var numbers = QUICNumbers()
    private var stream = QUICCryptoStream()

    package init(cryptography: any Cryptography) { self.cryptography = cryptography }

    /// Reads the next datagram of the flow: the whole payload of UDP.
    package mutating func take(datagram: RawSpan) throws(QUICError) -> Progress {
        var offset = 0
        repeat {
            let packet = try QUICPacket(datagram, at: offset)
            try admit(packet, in: datagram)
            if packet.kind == .initial { try read(packet, in: datagram) }
            offset = packet.end
        } while try Self.isMore(datagram, at: offset)
        return try stream.hello().map { .hello($0) } ?? .incomplete
    }

    /// Whether another packet follows; what is none must be zeros, with which some clients fill the datagram.
    private static func isMore(_ datagram: RawSpan, at offset: Int) throws(QUICError) -> Bool {
        if let first = datagram.byte(at: offset), first & 0x80 != 0 { return true }
        var rest = QUICCursor(offset..<datagram.byteCount)
        rest.skipZeros(in: datagram)
        guard rest.isAtEnd else { throw .trailing }
        return false
    }

    /// Begins the flight with its first packet, which is an Initial; later ones are of the same connection.
    private mutating func admit(_ packet: QUICPacket, in datagram: RawSpan) throws(QUICError) {
        guard version != nil else { return try begin(packet, in: datagram) }
        guard packet.version == version, datagram.holds(destination, at: packet.destination),
            datagram.holds(source, at: packet.source)
        else { throw .otherConnection }
    }

    private mutating func begin(_ packet: QUICPacket, in datagram: RawSpan) throws(QUICError) {
        guard packet.kind == .initial else { throw .packetType }
        guard packet.destination.count >= Self.smallestID else { throw .connectionID }
        version = packet.version
        destination = datagram.copy(packet.destination)
        source = datagram.copy(packet.source)
    }

    private mutating func read(_ packet: QUICPacket, in datagram: RawSpan) throws(QUICError) {
        guard datagram.byteCount >= Self.smallestDatagram else { throw .small }
        if keys == nil {
            keys = QUICKeys(packet.version, destination: destination.rawBytes, by: cryptography)
        }
        guard let keys else { throw .library }
        let opened = try keys.open(packet, in: datagram, expecting: numbers.expected, by: cryptography)
        let isFirst = numbers.isEmpty
        guard numbers.insert(opened.number) else { throw .packetNumber }
        let hasCrypto = try stream.insertFrames(opened.frames)
        guard hasCrypto || !isFirst else { throw .noHandshake }
    }
}

extension RawSpan {
    /// Whether exactly these bytes are in a range.
    fileprivate func holds(_ bytes: [UInt8], at range: Range<Int>) -> Bool {
        guard range.count == bytes.count, holds(range.count, at: range.lowerBound) else { return false }
        for (index, byte) in bytes.enumerated() where self.byte(at: range.lowerBound + index) != byte { return false }
        return true
    }
}
