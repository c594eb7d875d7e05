import Wire

/// Cryptography that changes nothing: what is sealed is the plain bytes with 16 more, no header is masked, and every
/// fingerprint is the same.
///
/// Random bytes never fit a real seal: with this one they reach the frames.
package struct PlainCryptography: Cryptography {
    package init() {}

    package func sha256(_ bytes: RawSpan) -> [UInt8] { [UInt8](repeating: 0, count: 32) }

    package func extract(salt: RawSpan, secret: RawSpan) -> [UInt8] { [UInt8](repeating: 0, count: 32) }

    package func expand(secret: RawSpan, info: RawSpan, count: Int) -> [UInt8] { [UInt8](repeating: 0, count: count) }

    package func encryptBlock(key: RawSpan, _ block: RawSpan) -> [UInt8]? { [UInt8](repeating: 0, count: 16) }

    package func openGCM(key: RawSpan, nonce: RawSpan, additional: RawSpan, sealed: RawSpan) -> [UInt8]? {
        sealed.byteCount < 16 ? nil : (0..<(sealed.byteCount - 16)).compactMap { sealed.byte(at: $0) }
    }
}
