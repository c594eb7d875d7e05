internal import Wire

// By HMAC and not by the library's own HKDF: in its FIPS mode that refuses short secrets, and a connection id is one.
extension LibCrypto {
    package func extract(salt: RawSpan, secret: RawSpan) -> [UInt8] { authenticate(key: salt, secret) }

    /// `count` bytes; none when the secret is shorter than 32 bytes, as the empty one of a failed extraction is.
    package func expand(secret: RawSpan, info: RawSpan, count: Int) -> [UInt8] {
        guard secret.byteCount >= 32, 0...(255 * 32) ~= count else { return [] }
        var result: [UInt8] = []
        var block: [UInt8] = []
        var number: UInt8 = 0
        while result.count < count {
            number += 1
            for offset in 0..<info.byteCount { if let byte = info.byte(at: offset) { block.append(byte) } }
            block.append(number)
            block = authenticate(key: secret, block.rawBytes)
            guard block.count == 32 else { return [] }
            result += block
        }
        result.removeLast(result.count - count)
        return result
    }
}
