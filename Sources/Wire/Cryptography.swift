/// What the readers need of a cryptographic library; `Crypto` has one over libcrypto.
///
/// Everything is a function of its arguments. Keys and secrets here are public: they come from what is on the wire.
package protocol Cryptography: Sendable {
    /// SHA-256 (FIPS 180-4): 32 bytes.
    func sha256(_ bytes: RawSpan) -> [UInt8]

    /// HKDF-Extract with SHA-256 (RFC 5869 §2.2): 32 bytes.
    func extract(salt: RawSpan, secret: RawSpan) -> [UInt8]

    /// HKDF-Expand with SHA-256 (RFC 5869 §2.3): `count` bytes, at most 255 × 32.
    func expand(secret: RawSpan, info: RawSpan, count: Int) -> [UInt8]

    /// One block of AES-128 (FIPS 197), encrypted: key and block have 16 bytes each; nil for other sizes.
    func encryptBlock(key: RawSpan, _ block: RawSpan) -> [UInt8]?

    /// AES-128-GCM (NIST SP 800-38D), opened: what was sealed, without its 16 bytes of tag.
    ///
    /// The key has 16 bytes, the nonce 12. Nil when the tag does not fit, and for other sizes.
    func openGCM(key: RawSpan, nonce: RawSpan, additional: RawSpan, sealed: RawSpan) -> [UInt8]?
}
