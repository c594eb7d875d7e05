internal import CCrypto

/// What libcrypto keeps while it works on one message; freed, and its key wiped, with its owner.
@safe
struct CipherContext: ~Copyable {
    let pointer: OpaquePointer

    /// Nil when there is no memory for it.
    init?() {
        guard let pointer = unsafe EVP_CIPHER_CTX_new() else { return nil }
        unsafe self.pointer = pointer
    }

    deinit { unsafe EVP_CIPHER_CTX_free(pointer) }
}
