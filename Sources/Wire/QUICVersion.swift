/// A version of QUIC whose Initial packets are read: the keys that protect them are known to everybody.
package enum QUICVersion: UInt32, Hashable, Sendable, CaseIterable {
    /// RFC 9000 and RFC 9001.
    case one = 1
    /// RFC 9369: as version 1, with other numbers.
    case two = 0x6b33_43cf

    /// What a long header's packet is, from bits 5 and 4 of its first byte; nil for Handshake and Retry.
    func kind(_ first: UInt8) -> QUICPacket.Kind? {
        let type = first >> 4 & 3
        return switch self == .one ? type : (type &+ 3) & 3 {
        case 0: .initial
        case 1: .zeroRTT
        default: nil
        }
    }

    /// The salt of the Initial secret (RFC 9001 §5.2, RFC 9369 §3.3.1).
    var salt: [UInt8] { self == .one ? Self.saltOfOne : Self.saltOfTwo }

    /// What the keys are expanded with.
    var labels: QUICLabels { self == .one ? Self.labelsOfOne : Self.labelsOfTwo }

    private static let saltOfOne: [UInt8] = [
        0x38, 0x76, 0x2c, 0xf7, 0xf5, 0x59, 0x34, 0xb3, 0x4d, 0x17,
        0x9a, 0xe6, 0xa4, 0xc8, 0x0c, 0xad, 0xcc, 0xbb, 0x7f, 0x0a,
    ]
    private static let saltOfTwo: [UInt8] = [
        0x0d, 0xed, 0xe3, 0xde, 0xf7, 0x00, 0xa6, 0xdb, 0x81, 0x93,
        0x81, 0xbe, 0x6e, 0x26, 0x9d, 0xcb, 0xf9, 0xbd, 0x2e, 0xd9,
    ]
    private static let labelsOfOne = QUICLabels(prefix: "quic")
    private static let labelsOfTwo = QUICLabels(prefix: "quicv2")
}

/// The information for HKDF-Expand of each key: `HkdfLabel` with an empty context (RFC 8446 §7.1).
struct QUICLabels: Sendable {
    let secret: [UInt8]
    let key: [UInt8]
    let nonce: [UInt8]
    let mask: [UInt8]

    /// The labels of a version (RFC 9001 §5.1, RFC 9369 §3.3.2); that of the secret is the same in both.
    init(prefix: String) {
        secret = Self.info("client in", count: 32)
        key = Self.info("\(prefix) key", count: 16)
        nonce = Self.info("\(prefix) iv", count: 12)
        mask = Self.info("\(prefix) hp", count: 16)
    }

    private static func info(_ label: String, count: UInt8) -> [UInt8] {
        let text = Array("tls13 \(label)".utf8)
        return [0, count, UInt8(text.count)] + text + [0]
    }
}
