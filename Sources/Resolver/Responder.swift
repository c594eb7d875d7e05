internal import Model
package import Wire

/// Writes the responses to one client's query, and keeps of the query what that takes.
package struct Responder: Sendable {
    package enum Transport: Sendable {
        case datagram, stream
    }

    package let question: DNSQuestion
    /// The question as the client spells it: name, type, class.
    private let spelling: [UInt8]
    private let id: UInt16
    private let recursionDesired: Bool
    private let checkingDisabled: Bool
    private let hasExtension: Bool
    private let dnssecOK: Bool
    /// Whether the client's EDNS has a version that nobody knows: it gets `badVersion` (RFC 6891 §6.1.3).
    package let hasBadVersion: Bool
    /// The bytes that a response may have.
    private let limit: Int

    /// The size of datagram that clients are told of and get at most (RFC 6891 §6.2.5), in bytes.
    private static let payloadSize: UInt16 = 1232

    /// `bytes` are those that the query was read from.
    ///
    /// A datagram has at most 512 bytes, or as many as the client's EDNS says up to 1232; over TCP 65,535.
    package init(_ query: DNSQuery, in bytes: RawSpan, over transport: Transport) {
        question = query.question
        let range = query.questionBytes
        spelling = bytes.holds(range.count, at: range.lowerBound) ? Self.copy(bytes.extracting(range)) : []
        id = query.header.id
        recursionDesired = query.header.recursionDesired
        checkingDisabled = query.header.checkingDisabled
        hasExtension = query.extension != nil
        dnssecOK = query.extension?.dnssecOK ?? false
        hasBadVersion = (query.extension?.version ?? 0) != 0
        let size = min(max(query.extension?.payloadSize ?? 512, 512), Self.payloadSize)
        limit = transport == .stream ? 65_535 : Int(size)
    }

    private static func copy(_ bytes: RawSpan) -> [UInt8] {
        unsafe bytes.withUnsafeBytes { unsafe [UInt8]($0) }
    }

    /// The response that gives an answer.
    package func response(_ answer: Answer) -> [UInt8] {
        var bytes: [UInt8] = []
        append(answer, to: &bytes)
        return bytes
    }

    /// Appends the response that gives an answer; an answer to another question becomes SERVFAIL.
    package func append(_ answer: Answer, to bytes: inout [UInt8]) {
        guard let content = answer.content else { return append(answer.code, nil, to: &bytes) }
        let template = content.template
        guard template.questionLength == spelling.count else { return append(.serverFailure, nil, to: &bytes) }
        let room = limit - DNSHeader.length - spelling.count - (hasExtension ? 11 : 0)
        var count = template.records.count
        if template.bytes.count > room { count = template.records.prefix { $0.end <= room }.count }
        let end = count == 0 ? 0 : template.records[count - 1].end
        let answers = min(count, template.answerCount)
        bytes.reserveCapacity(bytes.count + DNSHeader.length + spelling.count + end + 11)
        appendHeader(
            answer.code,
            isTruncated: count < template.records.count,
            answers: answers,
            authorities: count - answers,
            to: &bytes,
        )
        bytes += spelling
        let start = bytes.count
        bytes += end == template.bytes.count ? template.bytes[...] : template.bytes[..<end]
        if answer.age > 0 {
            for record in template.records[..<count] { Self.count(&bytes, start + record.ttl, down: answer.age) }
        }
        if hasExtension { appendExtension(answer.code, nil, to: &bytes) }
    }

    /// A response without records; the error is for clients that know EDNS.
    package func refusal(_ code: DNSResponseCode, _ error: ExtendedError? = nil) -> [UInt8] {
        var bytes: [UInt8] = []
        append(code, error, to: &bytes)
        return bytes
    }

    private func append(_ code: DNSResponseCode, _ error: ExtendedError?, to bytes: inout [UInt8]) {
        appendHeader(code, isTruncated: false, answers: 0, authorities: 0, to: &bytes)
        bytes += spelling
        if hasExtension { appendExtension(code, error, to: &bytes) }
    }

    private func appendHeader(
        _ code: DNSResponseCode,
        isTruncated: Bool,
        answers: Int,
        authorities: Int,
        to bytes: inout [UInt8],
    ) {
        bytes.append(UInt8(id >> 8))
        bytes.append(UInt8(id & 255))
        // QR, opcode 0, AA clear, TC, RD.
        bytes.append(0x80 | (isTruncated ? 2 : 0) | (recursionDesired ? 1 : 0))
        // RA, AD clear, CD (RFC 4035 §3.2.2), the low bits of the code.
        bytes.append(0x80 | (checkingDisabled ? 0x10 : 0) | UInt8(code.rawValue & 15))
        for count in [1, answers, authorities, hasExtension ? 1 : 0] {
            bytes.append(UInt8(count >> 8 & 255))
            bytes.append(UInt8(count & 255))
        }
    }

    /// The OPT record (RFC 6891 §6.1.2); DO is copied (RFC 3225 §3).
    private func appendExtension(_ code: DNSResponseCode, _ error: ExtendedError?, to bytes: inout [UInt8]) {
        bytes.append(contentsOf: [0, 0, 41, UInt8(Self.payloadSize >> 8), UInt8(Self.payloadSize & 255)])
        bytes.append(contentsOf: [UInt8(code.rawValue >> 4 & 255), 0, dnssecOK ? 0x80 : 0, 0])
        guard let error else {
            bytes.append(contentsOf: [0, 0])
            return
        }
        let text = error.text.utf8
        let length = UInt8(2 + text.count)
        // OPTION-CODE 15 (RFC 8914 §2) and its length, within the length of the record.
        bytes += [0, length + 4, 0, 15, 0, length, UInt8(error.code >> 8), UInt8(error.code & 255)]
        bytes += text
    }

    /// Counts the TTL at `offset` down by the seconds that have passed.
    private static func count(_ bytes: inout [UInt8], _ offset: Int, down seconds: UInt32) {
        guard offset >= 0, offset + 4 <= bytes.count else { return }
        var ttl: UInt32 = 0
        for index in 0..<4 { ttl = ttl << 8 | UInt32(bytes[offset + index]) }
        ttl -= min(ttl, seconds)
        for index in 0..<4 { bytes[offset + index] = UInt8(truncatingIfNeeded: ttl >> (24 - 8 * UInt32(index))) }
    }

    /// The response to what `DNSQuery` cannot read: a header with the same id and opcode, and nothing else.
    ///
    /// Nil for a response and for less than a header, which get no answer at all.
    package static func refusal(ofUnreadable bytes: RawSpan, _ code: DNSResponseCode) -> [UInt8]? {
        guard bytes.byteCount >= DNSHeader.length, let word = bytes.network32(at: 0), word & 0x8000 == 0 else {
            return nil
        }
        let (high, low) = (UInt8(truncatingIfNeeded: word >> 24), UInt8(truncatingIfNeeded: word >> 16))
        // QR, the opcode and RD as they came, RA.
        let flags = 0x80 | UInt8(truncatingIfNeeded: word >> 8) & 0x79
        return [high, low, flags, 0x80 | UInt8(code.rawValue & 15)] + [UInt8](repeating: 0, count: 8)
    }
}
