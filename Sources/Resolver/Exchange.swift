internal import Model
internal import Wire

/// One question to one upstream on one socket.
struct Exchange: Sendable {
    let lookup: UInt64
    let upstream: Int
    let id: UInt16
    /// The question as it is spelled in this exchange: name, type, class.
    let question: [UInt8]
    let isStream: Bool
    let hasExtension: Bool
    let sent: Instant
    /// Whether its silence was counted.
    var isLate = false
    /// What came over TCP so far, with the two bytes of length.
    var received: [UInt8] = []

    /// How a message fits the question.
    enum Fit {
        case exact
        /// Everything is right but the letters' case.
        case otherCase
        /// A FORMERR or NOTIMP of nothing but a header, as servers give that know no EDNS.
        case bareError
        case none
    }

    /// Checks a message's id and question, byte by byte: at the start of a message nothing can be compressed.
    func fit(_ message: RawSpan) -> Fit {
        guard let word = message.network32(at: 0), UInt16(truncatingIfNeeded: word >> 16) == id,
            // QR is set, the opcode is QUERY.
            word & 0xf800 == 0x8000, let count = message.network16(at: 4)
        else { return .none }
        if count == 0, message.byteCount == DNSHeader.length {
            return word & 15 == 1 || word & 15 == 4 ? .bareError : .none
        }
        guard count == 1, message.holds(question.count, at: DNSHeader.length) else { return .none }
        var fit = Fit.exact
        for (index, asked) in question.enumerated() {
            guard let echoed = message.byte(at: DNSHeader.length + index) else { return .none }
            guard echoed != asked else { continue }
            guard echoed ^ asked == 0x20, Self.isLetter(asked), index < question.count - 4 else { return .none }
            fit = .otherCase
        }
        return fit
    }

    private static func isLetter(_ byte: UInt8) -> Bool { (0x61...0x7a).contains(byte | 0x20) }

    /// The query: recursion desired, one question, and EDNS with our payload size.
    func query(payloadSize: UInt16) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(DNSHeader.length + question.count + 11)
        bytes += [UInt8(id >> 8), UInt8(id & 255), 1, 0, 0, 1, 0, 0, 0, 0, 0, hasExtension ? 1 : 0]
        bytes += question
        if hasExtension {
            bytes += [0, 0, 41, UInt8(payloadSize >> 8), UInt8(payloadSize & 255), 0, 0, 0, 0, 0, 0]
        }
        return bytes
    }

    /// A question with every letter in a case of its own, by chance (draft-vixie-dnsext-dns0x20).
    static func spelled(
        _ question: DNSQuestion,
        _ random: inout any RandomNumberGenerator & Sendable,
        bits: UInt64,
        count: Int,
    ) -> [UInt8] {
        var (bits, left) = (bits, count)
        var bytes: [UInt8] = []
        bytes.reserveCapacity(question.name.wire.count + 4)
        for byte in question.name.wire {
            // A length is below every letter.
            guard (0x61...0x7a).contains(byte) else {
                bytes.append(byte)
                continue
            }
            if left == 0 { (bits, left) = (random.next(), 64) }
            bytes.append(byte ^ UInt8(bits & 1) << 5)
            bits >>= 1
            left -= 1
        }
        let (type, `class`) = (question.type.rawValue, question.class)
        bytes += [UInt8(type >> 8), UInt8(type & 255), UInt8(`class` >> 8), UInt8(`class` & 255)]
        return bytes
    }
}
