internal import CCrypto
internal import Wire

/// The cryptography of libcrypto (OpenSSL 3.0 or later).
///
/// The algorithms are fetched once; every call makes what it needs and frees it, so several threads may call at once. What the
/// library itself fails at, for want of memory or because the host forbids an algorithm, never reads as a result: bytes are
/// then empty, and what is opened or encrypted is nil.
@safe
package final class LibCrypto: Cryptography, @unchecked Sendable {
    // Unchecked: what was fetched never changes, and libcrypto counts its references atomically.
    private let digest: OpaquePointer?
    let blockCipher: OpaquePointer?
    let sealCipher: OpaquePointer?

    /// What to say where there is none.
    package static let absence =
        "libcrypto has no SHA-256, AES-128-ECB or AES-128-GCM; install OpenSSL 3 with its default provider"

    /// Fetches the algorithms; nil when this host's libcrypto does not have all of them.
    package init?() {
        unsafe digest = EVP_MD_fetch(nil, "SHA256", nil)
        unsafe blockCipher = EVP_CIPHER_fetch(nil, "AES-128-ECB", nil)
        unsafe sealCipher = EVP_CIPHER_fetch(nil, "AES-128-GCM", nil)
        guard unsafe digest != nil, unsafe blockCipher != nil, unsafe sealCipher != nil else {
            ERR_clear_error()
            return nil
        }
    }

    deinit {
        unsafe EVP_MD_free(digest)
        unsafe EVP_CIPHER_free(blockCipher)
        unsafe EVP_CIPHER_free(sealCipher)
    }

    package func sha256(_ bytes: RawSpan) -> [UInt8] {
        unsafe bytes.withAddress { start, count in
            unsafe Self.digest { result, length in
                unsafe EVP_Digest(start, count, result, length, digest, nil) == 1
            }
        }
    }

    /// HMAC with SHA-256 (RFC 2104): 32 bytes.
    func authenticate(key: RawSpan, _ bytes: RawSpan) -> [UInt8] {
        guard let keyCount = Int32(exactly: key.byteCount) else { return [] }
        return unsafe key.withAddress { key, _ in
            unsafe bytes.withAddress { start, count in
                unsafe Self.digest { result, length in
                    unsafe HMAC(digest, key, keyCount, start, count, result, length) != nil
                }
            }
        }
    }

    /// The 32 bytes that `body` writes; empty when it fails or wrote another count.
    private static func digest(
        _ body: (UnsafeMutablePointer<UInt8>?, UnsafeMutablePointer<UInt32>) -> Bool
    ) -> [UInt8] {
        unsafe [UInt8](unsafeUninitializedCapacity: 64) { result, count in
            var length: UInt32 = 0
            let isDone = unsafe body(result.baseAddress, &length)
            if !isDone { ERR_clear_error() }
            count = isDone && length == 32 ? 32 : 0
        }
    }
}
