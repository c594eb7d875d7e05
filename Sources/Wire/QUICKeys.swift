/// What opens a client's Initial packets (RFC 9001 §5): everybody who sees the first of them can derive it.
struct QUICKeys: Sendable {
    /// The bytes of the longest packet number.
    static let numberLimit = 4
    /// The bytes that the mask of a header is made of.
    static let sampleSize = 16
    private static let tagSize = 16

    private let key: [UInt8]
    private let nonce: [UInt8]
    private let mask: [UInt8]

    /// Derives the keys from the destination of the client's first Initial; nil when the library fails.
    init?(_ version: QUICVersion, destination: RawSpan, by cryptography: any Cryptography) {
        let labels = version.labels
        let initial = cryptography.extract(salt: version.salt.rawBytes, secret: destination)
        let secret = cryptography.expand(secret: initial.rawBytes, info: labels.secret.rawBytes, count: 32)
        key = cryptography.expand(secret: secret.rawBytes, info: labels.key.rawBytes, count: 16)
        nonce = cryptography.expand(secret: secret.rawBytes, info: labels.nonce.rawBytes, count: 12)
        mask = cryptography.expand(secret: secret.rawBytes, info: labels.mask.rawBytes, count: 16)
        guard initial.count == 32, secret.count == 32, key.count == 16, nonce.count == 12, mask.count == 16 else {
            return nil
        }
    }

    /// The packet number and the frames of an Initial; `expected` is the number behind the largest that was seen.
    func open(
        _ packet: QUICPacket,
        in datagram: RawSpan,
        expecting expected: UInt64,
        by cryptography: any Cryptography,
    ) throws(QUICError) -> (number: UInt64, frames: [UInt8]) {
        let start = packet.header.upperBound
        let (header, truncated) = try unmask(packet, in: datagram, by: cryptography)
        let size = header.count - packet.header.count
        let number = Self.number(truncated, size: size, expecting: expected)
        let sealed = (start + size)..<packet.end
        // The reader of the packet has seen that at least 4 + 16 bytes follow the header.
        guard datagram.holds(sealed.count, at: sealed.lowerBound), sealed.count >= Self.tagSize else {
            throw .truncated
        }
        let frames = cryptography.openGCM(
            key: key.rawBytes,
            nonce: nonce(number).rawBytes,
            additional: header.rawBytes,
            sealed: datagram.extracting(sealed),
        )
        guard let frames else { throw .sealed }
        // Only now: before the packet was opened, the bits could be anybody's (RFC 9000 §17.2).
        guard let first = header.first, first & 0x0c == 0 else { throw .reservedBits }
        return (number, frames)
    }

    /// The header as it was before it was protected (RFC 9001 §5.4), with the packet number, and that number.
    private func unmask(
        _ packet: QUICPacket,
        in datagram: RawSpan,
        by cryptography: any Cryptography,
    ) throws(QUICError) -> (header: [UInt8], number: UInt32) {
        let start = packet.header.upperBound
        guard datagram.holds(Self.numberLimit + Self.sampleSize, at: start) else { throw .truncated }
        let sample = datagram.extracting((start + Self.numberLimit)..<(start + Self.numberLimit + Self.sampleSize))
        guard let bits = cryptography.encryptBlock(key: mask.rawBytes, sample), bits.count == Self.sampleSize else {
            throw .library
        }
        var header = datagram.copy(packet.header.lowerBound..<(start + Self.numberLimit))
        header[0] ^= bits[0] & 0x0f
        let size = Int(header[0] & 3) + 1
        header.removeLast(Self.numberLimit - size)
        var number: UInt32 = 0
        for index in 0..<size {
            let place = packet.header.count + index
            header[place] ^= bits[1 + index]
            number = number << 8 | UInt32(header[place])
        }
        return (header, number)
    }

    /// The nonce of a packet: the number is exclusively or-ed into the end of the common one (RFC 9001 §5.3).
    private func nonce(_ number: UInt64) -> [UInt8] {
        var nonce = self.nonce
        for index in 0..<8 { nonce[nonce.count - 1 - index] ^= UInt8(truncatingIfNeeded: number >> (8 * index)) }
        return nonce
    }

    /// The number next to the expected one whose last `size` bytes are these (RFC 9000 §A.3).
    static func number(_ truncated: UInt32, size: Int, expecting expected: UInt64) -> UInt64 {
        let window: UInt64 = 1 << (8 * size)
        let candidate = expected & ~(window - 1) | UInt64(truncated)
        if candidate + window / 2 <= expected, candidate < 1 << 62 - window { return candidate + window }
        if candidate > expected + window / 2, candidate >= window { return candidate - window }
        return candidate
    }
}
