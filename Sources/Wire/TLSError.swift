/// Why bytes are not a ClientHello that is read here; whoever asked denies it.
package enum TLSError: Error, Hashable, Sendable {
    /// A record of this type where the ClientHello's belongs: 20 change_cipher_spec, 21 alert, 23 application data; or no record.
    case contentType(UInt8)
    /// A record of a version that is neither SSL 3.0 nor TLS 1.0 to 1.3.
    case recordVersion
    /// A record without a byte, or of more than 2^14 (RFC 8446 §5.1).
    case recordLength
    /// A handshake message of this type, which is not ClientHello's.
    case handshakeType(UInt8)
    /// A ClientHello of this many bytes, its header included, which are more than are read.
    case tooLong(Int)
    /// Bytes behind the ClientHello: in its last record, or in the message.
    case trailing
    /// The message, or a list in it, ends inside what it must hold.
    case truncated
    /// No version that is offered is one of TLS 1.0 to 1.3; the highest of those before, 0 without one.
    case version(UInt16)
    /// A session id of more than 32 bytes.
    case sessionID
    /// The cipher suites are none, or half a suite is left.
    case cipherSuites
    /// The compression methods are without `null`.
    case compression
    /// An extension of this type is there twice (RFC 8446 §4.2).
    case duplicate(UInt16)
    /// More extensions than any honest program sends.
    case tooManyExtensions
    /// The extension of this type does not hold what it must.
    case `extension`(UInt16)
    /// Extensions behind `pre_shared_key` (RFC 8446 §4.2.11).
    case preSharedKeyNotLast
}

extension TLSError: CustomStringConvertible {
    /// A sentence without its full stop.
    package var description: String {
        switch self {
        case .contentType(let type): "a first byte or record of type \(type) is not the handshake's"
        case .recordVersion: "a record of a version that is no TLS"
        case .recordLength: "a record without a byte, or of more than 16384"
        case .handshakeType(let type): "a handshake message of type \(type) is no ClientHello"
        case .tooLong(let count): "a ClientHello of \(count) bytes"
        case .trailing: "bytes behind the ClientHello"
        case .truncated: "the ClientHello ends inside what it must hold"
        case .version(let version): "version \(Self.hex(version)) is none of TLS 1.0 to 1.3"
        case .sessionID: "a session id of more than 32 bytes"
        case .cipherSuites: "no cipher suites, or half of one"
        case .compression: "no null compression"
        case .duplicate(let type): "extension \(type) twice"
        case .tooManyExtensions: "more than \(TLSClientHello.extensionLimit) extensions"
        case .extension(let type): "extension \(type) is malformed"
        case .preSharedKeyNotLast: "extensions behind pre_shared_key"
        }
    }

    private static func hex(_ number: UInt16) -> String {
        "0x" + [12, 8, 4, 0].map { String(number >> $0 & 15, radix: 16) }.joined()
    }
}
