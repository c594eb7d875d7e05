/// The header of a DNS message (RFC 1035 §4.1.1; AD and CD: RFC 4035 §3).
///
/// ```
///  0  1  2  3  4  5  6  7  8  9 10 11 12 13 14 15
/// +-----------------------------------------------+
/// |                      id                       |
/// +--+-----------+--+--+--+--+--+--+--+-----------+
/// |QR|  opcode   |AA|TC|RD|RA| 0|AD|CD|   RCODE   |
/// +--+-----------+--+--+--+--+--+--+--+-----------+
/// |        questions, answers, authorities,       |
/// |           additionals: 16 bits each           |
/// +-----------------------------------------------+
/// ```
///
/// The bit that must be zero is not looked at.
package struct DNSHeader: Hashable, Sendable {
    /// The length in bytes.
    package static let length = 12

    package var id: UInt16
    package var isResponse = false
    /// 0 is QUERY; 4 bits.
    package var opcode: UInt8 = 0
    package var isAuthoritative = false
    package var isTruncated = false
    package var recursionDesired = false
    package var recursionAvailable = false
    package var authenticData = false
    package var checkingDisabled = false
    /// The low 4 bits of the response code.
    package var responseCode = DNSResponseCode.noError
    package var questionCount: UInt16 = 0
    package var answerCount: UInt16 = 0
    package var authorityCount: UInt16 = 0
    /// With the OPT record, which is one of them.
    package var additionalCount: UInt16 = 0

    /// A query's header without flags and counts.
    package init(id: UInt16) { self.id = id }

    /// Reads the first 12 bytes; what follows them does not matter.
    package init(_ bytes: RawSpan) throws(DNSError) {
        guard let word = bytes.network32(at: 0), let counts = bytes.network64(at: 4) else { throw .truncated }
        id = UInt16(truncatingIfNeeded: word >> 16)
        let flags = Flags(rawValue: UInt16(truncatingIfNeeded: word))
        isResponse = flags.contains(.response)
        opcode = UInt8(truncatingIfNeeded: word >> 11) & 15
        isAuthoritative = flags.contains(.authoritative)
        isTruncated = flags.contains(.truncated)
        recursionDesired = flags.contains(.recursionDesired)
        recursionAvailable = flags.contains(.recursionAvailable)
        authenticData = flags.contains(.authenticData)
        checkingDisabled = flags.contains(.checkingDisabled)
        responseCode = DNSResponseCode(rawValue: UInt16(truncatingIfNeeded: word) & 15)
        questionCount = UInt16(truncatingIfNeeded: counts >> 48)
        answerCount = UInt16(truncatingIfNeeded: counts >> 32)
        authorityCount = UInt16(truncatingIfNeeded: counts >> 16)
        additionalCount = UInt16(truncatingIfNeeded: counts)
    }

    /// The second 16 bits as they are written.
    var flags: UInt16 {
        var flags: Flags = []
        if isResponse { flags.insert(.response) }
        if isAuthoritative { flags.insert(.authoritative) }
        if isTruncated { flags.insert(.truncated) }
        if recursionDesired { flags.insert(.recursionDesired) }
        if recursionAvailable { flags.insert(.recursionAvailable) }
        if authenticData { flags.insert(.authenticData) }
        if checkingDisabled { flags.insert(.checkingDisabled) }
        return flags.rawValue | UInt16(opcode & 15) << 11 | responseCode.rawValue & 15
    }

    private struct Flags: OptionSet {
        let rawValue: UInt16

        static let response = Flags(rawValue: 0x8000)
        static let authoritative = Flags(rawValue: 0x0400)
        static let truncated = Flags(rawValue: 0x0200)
        static let recursionDesired = Flags(rawValue: 0x0100)
        static let recursionAvailable = Flags(rawValue: 0x0080)
        static let authenticData = Flags(rawValue: 0x0020)
        static let checkingDisabled = Flags(rawValue: 0x0010)
    }
}
