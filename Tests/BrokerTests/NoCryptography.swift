import Broker
import Model
import Wire

/// Knows no keys and seals nothing: what is sealed is the plain text with 16 bytes behind it, and every fingerprint is the
/// same.
struct NoCryptography: Cryptography {
    func sha256(_ bytes: RawSpan) -> [UInt8] { [UInt8](repeating: 0, count: 32) }
    func extract(salt: RawSpan, secret: RawSpan) -> [UInt8] { [UInt8](repeating: 0, count: 32) }
    func expand(secret: RawSpan, info: RawSpan, count: Int) -> [UInt8] { [UInt8](repeating: 0, count: count) }
    func encryptBlock(key: RawSpan, _ block: RawSpan) -> [UInt8]? { [UInt8](repeating: 0, count: 16) }

    func openGCM(key: RawSpan, nonce: RawSpan, additional: RawSpan, sealed: RawSpan) -> [UInt8]? {
        (0..<max(0, sealed.byteCount - 16)).compactMap { sealed.byte(at: $0) }
    }
}

extension Broker {
    /// Judges a packet whose bytes do not matter.
    mutating func handle(_ question: PacketQuestion, at now: Instant) -> [BrokerAction] {
        handle(question, in: [UInt8]().rawBytes, at: now)
    }
}
