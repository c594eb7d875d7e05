/// Why datagrams are not the first flight of a QUIC client that is read here; whoever asked denies it.
package enum QUICError: Error, Hashable, Sendable {
    /// No long header with the fixed bit (RFC 9000 §17.2).
    case header
    /// A version that is not read here; 0 is a server's version negotiation.
    case unknownVersion(UInt32)
    /// The bytes end inside a header, or a packet says that it is longer than the datagram or too short to be sealed.
    case truncated
    /// A connection id of more than 20 bytes, or a first destination of less than 8 (RFC 9000 §7.2).
    case connectionID
    /// Something else than an Initial where the flight begins; or a Handshake packet or a Retry, which nobody can send before a
    /// server has answered.
    case packetType
    /// A packet of another version or with other connection ids than the first: no server has answered that could change them.
    case otherConnection
    /// An Initial in a datagram of less than 1,200 bytes (RFC 9000 §14.1).
    case small
    /// Bytes behind the last packet that are no padding.
    case trailing
    /// An Initial that does not open with the keys of its connection.
    case sealed
    /// A packet number that was there already, or too long ago to know: the server drops such a packet.
    case packetNumber
    /// The reserved bits of an Initial are not zero.
    case reservedBits
    /// An Initial without frames.
    case empty
    /// The first packet of a flight has no CRYPTO frame (RFC 9000 §17.2.2).
    case noHandshake
    /// The client closes the connection before it has said what it wants: a server drops all that follows.
    case closed
    /// A frame that may not be in an Initial (RFC 9000 §12.4); its first byte.
    case frame(UInt8)
    /// A frame whose numbers or lengths do not fit.
    case frameFormat
    /// A CRYPTO frame that brings other bytes for a place which has some.
    case conflict
    /// A handshake message of this type, which is not ClientHello.
    case handshake(UInt8)
    /// More than the bytes of the longest ClientHello that is read.
    case tooLong
    /// More gaps between the CRYPTO frames than any honest program leaves.
    case tooManyRanges
    /// Handshake bytes behind the ClientHello.
    case excess
    /// The cryptographic library failed.
    case library
}

extension QUICError: CustomStringConvertible {
    /// A sentence without its full stop.
    package var description: String {
        switch self {
        case .header: "no long header"
        case .unknownVersion(let version): "version 0x\(String(version, radix: 16)) is not read"
        case .truncated: "the datagram ends inside a packet"
        case .connectionID: "a connection id's length is impossible"
        case .packetType: "no Initial where one must be"
        case .otherConnection: "a packet of another connection"
        case .small: "an Initial in a datagram of less than \(QUICFlight.smallestDatagram) bytes"
        case .trailing: "bytes behind the last packet"
        case .sealed: "an Initial that does not open"
        case .packetNumber: "a packet number for the second time"
        case .reservedBits: "reserved bits that are not zero"
        case .empty: "a packet without frames"
        case .noHandshake: "a first packet without a CRYPTO frame"
        case .closed: "the connection closed before its ClientHello"
        case .frame(let type): "a frame of type \(type) in an Initial"
        case .frameFormat: "a frame's length is impossible"
        case .conflict: "two frames with other bytes for one place"
        case .handshake(let type): "a handshake message of type \(type) instead of a ClientHello"
        case .tooLong: "a ClientHello of more than \(QUICCryptoStream.limit) bytes"
        case .tooManyRanges: "more than \(QUICCryptoStream.rangeLimit) gaps in a ClientHello"
        case .excess: "handshake bytes behind the ClientHello"
        case .library: "the cryptographic library failed"
        }
    }
}
