/// The frames that may be in an Initial (RFC 9000 §12.4, table 3).
///
/// Their types have one byte: a longer spelling is refused.
private enum FrameType {
    static let padding: UInt8 = 0x00
    static let ping: UInt8 = 0x01
    static let acknowledgement: UInt8 = 0x02
    static let acknowledgementWithECN: UInt8 = 0x03
    static let crypto: UInt8 = 0x06
    static let close: UInt8 = 0x1c
}

extension QUICCryptoStream {
    /// Reads all frames of an Initial, and takes what the CRYPTO frames bring; whether there was one.
    mutating func insertFrames(_ frames: [UInt8]) throws(QUICError) -> Bool {
        guard !frames.isEmpty else { throw .empty }
        var hasCrypto = false
        var cursor = QUICCursor(0..<frames.count)
        while let type = cursor.take8(in: frames.rawBytes) {
            switch type {
            case FrameType.padding: cursor.skipZeros(in: frames.rawBytes)
            case FrameType.ping: break
            case FrameType.acknowledgement, FrameType.acknowledgementWithECN:
                let counts = type == FrameType.acknowledgementWithECN ? 3 : 0
                guard cursor.skipAcknowledgement(in: frames.rawBytes, counts: counts) else { throw .frameFormat }
            case FrameType.crypto:
                guard let offset = cursor.number(in: frames.rawBytes), let count = cursor.number(in: frames.rawBytes),
                    let data = cursor.skip(count)
                else { throw .frameFormat }
                try insert(frames[data], at: offset)
                hasCrypto = true
            case FrameType.close:
                guard cursor.skipClose(in: frames.rawBytes) else { throw .frameFormat }
                throw .closed
            default: throw .frame(type)
            }
        }
        return hasCrypto
    }
}

extension QUICCursor {
    /// Passes over what follows the type of an ACK frame (RFC 9000 §19.3); false when it does not fit.
    fileprivate mutating func skipAcknowledgement(in bytes: RawSpan, counts: Int) -> Bool {
        guard let largest = number(in: bytes), number(in: bytes) != nil, let ranges = number(in: bytes),
            let first = number(in: bytes), first <= largest
        else { return false }
        var smallest = largest - first
        // However many they say there are: each takes bytes, and the reads end with those.
        for _ in 0..<ranges {
            guard let gap = number(in: bytes), let length = number(in: bytes), gap + 2 <= smallest,
                length <= smallest - gap - 2
            else { return false }
            smallest -= gap + 2 + length
        }
        for _ in 0..<counts { if number(in: bytes) == nil { return false } }
        return true
    }

    /// Passes over what follows the type of a CONNECTION_CLOSE frame of the transport (RFC 9000 §19.19).
    fileprivate mutating func skipClose(in bytes: RawSpan) -> Bool {
        guard number(in: bytes) != nil, number(in: bytes) != nil, let count = number(in: bytes) else { return false }
        return skip(count) != nil
    }
}
