internal import CCrypto

extension LibCrypto {
    /// The bytes of a key and of a block.
    private static var blockSize: Int { 16 }
    private static var tagSize: Int { 16 }
    private static var nonceSize: Int { 12 }

    package func encryptBlock(key: RawSpan, _ block: RawSpan) -> [UInt8]? {
        guard key.byteCount == Self.blockSize, block.byteCount == Self.blockSize, let context = CipherContext() else {
            return nil
        }
        let isReady = unsafe key.withAddress { key, _ in
            unsafe EVP_EncryptInit_ex(context.pointer, blockCipher, nil, key, nil) == 1
        }
        // Without this the library would keep the block back: it could be the last, which is padded.
        guard isReady, unsafe EVP_CIPHER_CTX_set_padding(context.pointer, 0) == 1 else { return failure() }
        return unsafe update(block, EVP_EncryptUpdate, context) ?? failure()
    }

    package func openGCM(key: RawSpan, nonce: RawSpan, additional: RawSpan, sealed: RawSpan) -> [UInt8]? {
        let count = sealed.byteCount - Self.tagSize
        guard key.byteCount == Self.blockSize, nonce.byteCount == Self.nonceSize, count >= 0,
            sealed.byteCount <= Int32.max, let additionalCount = Int32(exactly: additional.byteCount),
            let context = CipherContext()
        else { return nil }
        guard start(context, key, nonce, additional, additionalCount),
            let plain = unsafe update(sealed.extracting(first: count), EVP_DecryptUpdate, context),
            finish(context, tag: sealed.extracting(last: Self.tagSize))
        else { return failure() }
        return plain
    }

    private func start(
        _ context: borrowing CipherContext,
        _ key: RawSpan,
        _ nonce: RawSpan,
        _ additional: RawSpan,
        _ additionalCount: Int32,
    ) -> Bool {
        let pointer = unsafe context.pointer
        let isReady = unsafe key.withAddress { key, _ in
            unsafe nonce.withAddress { nonce, _ in
                unsafe EVP_DecryptInit_ex(pointer, sealCipher, nil, key, nonce) == 1
            }
        }
        guard isReady else { return false }
        return unsafe additional.withAddress { start, _ in
            var written: Int32 = 0
            return unsafe EVP_DecryptUpdate(pointer, nil, &written, start, additionalCount) == 1
        }
    }

    /// Whether the tag fits all that the context was given.
    private func finish(_ context: borrowing CipherContext, tag: RawSpan) -> Bool {
        let pointer = unsafe context.pointer
        return unsafe tag.withAddress { tag, count in
            var rest: (UInt64, UInt64) = (0, 0)
            var written: Int32 = 0
            // The library takes the tag as an address that it might write to; it only reads it.
            let place = unsafe UnsafeMutablePointer(mutating: tag)
            guard unsafe EVP_CIPHER_CTX_ctrl(pointer, EVP_CTRL_AEAD_SET_TAG, Int32(count), place) == 1 else {
                return false
            }
            return unsafe withUnsafeMutableBytes(of: &rest) { rest in
                unsafe EVP_DecryptFinal_ex(pointer, rest.baseAddress, &written) == 1 && written == 0
            }
        }
    }

    private typealias Update = (
        OpaquePointer?, UnsafeMutablePointer<UInt8>?, UnsafeMutablePointer<Int32>?, UnsafePointer<UInt8>?, Int32
    ) -> Int32

    /// What `call` makes of the bytes: as many as they are, or nil.
    private func update(_ bytes: RawSpan, _ call: Update, _ context: borrowing CipherContext) -> [UInt8]? {
        let pointer = unsafe context.pointer
        let result = unsafe bytes.withAddress { start, count in
            unsafe [UInt8](unsafeUninitializedCapacity: count + Self.blockSize) { result, total in
                var written: Int32 = 0
                let isDone = unsafe call(pointer, result.baseAddress, &written, start, Int32(count)) == 1
                total = isDone ? Int(written) : 0
            }
        }
        return result.count == bytes.byteCount ? result : nil
    }

    /// Nil, with the library's queue of errors emptied: nobody reads it.
    private func failure() -> [UInt8]? {
        ERR_clear_error()
        return nil
    }
}
