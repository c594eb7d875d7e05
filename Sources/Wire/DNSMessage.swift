/// A DNS message (RFC 1035 §4.1) with all its records.
///
/// Never traps, whatever the bytes are; time and memory are bounded by a few hundred bytes for each record, and no count in
/// the header makes it allocate what the bytes cannot hold.
package struct DNSMessage: Hashable, Sendable {
    /// The header as it was read; its counts do not matter when the message is written.
    package var header: DNSHeader
    package var questions: [DNSQuestion]
    package var answers: [DNSRecord]
    package var authorities: [DNSRecord]
    /// Without the OPT record.
    package var additionals: [DNSRecord]
    /// What the OPT record says, if there is one.
    package var `extension`: DNSExtension?

    package init(
        header: DNSHeader,
        questions: [DNSQuestion] = [],
        answers: [DNSRecord] = [],
        authorities: [DNSRecord] = [],
        additionals: [DNSRecord] = [],
        extension: DNSExtension? = nil,
    ) {
        self.header = header
        self.questions = questions
        self.answers = answers
        self.authorities = authorities
        self.additionals = additionals
        self.extension = `extension`
    }

    /// Reads a whole message; bytes behind its last record are an error.
    package init(_ bytes: RawSpan) throws(DNSError) {
        let header = try DNSHeader(bytes)
        self.init(header: header)
        let records = Int(header.answerCount) + Int(header.authorityCount) + Int(header.additionalCount)
        var cursor = DNSCursor(DNSHeader.length..<bytes.byteCount)
        // A question has at least 5 bytes, a record 11.
        guard Int(header.questionCount) * 5 + records * 11 <= cursor.rest.count else { throw .truncated }
        try readQuestions(&cursor, bytes)
        answers = try read(header.answerCount, &cursor, bytes)
        authorities = try read(header.authorityCount, &cursor, bytes)
        additionals = try read(header.additionalCount, &cursor, bytes, isAdditional: true)
        guard cursor.isAtEnd else { throw .trailing }
    }

    private mutating func readQuestions(_ cursor: inout DNSCursor, _ bytes: RawSpan) throws(DNSError) {
        questions.reserveCapacity(Int(header.questionCount))
        for _ in 0..<header.questionCount {
            let question = try cursor.question(in: bytes)
            if questions.isEmpty { cursor.first = question.name }
            questions.append(question)
        }
    }

    private mutating func read(
        _ count: UInt16,
        _ cursor: inout DNSCursor,
        _ bytes: RawSpan,
        isAdditional: Bool = false,
    ) throws(DNSError) -> [DNSRecord] {
        var records: [DNSRecord] = []
        records.reserveCapacity(Int(count))
        for _ in 0..<count {
            let head = try cursor.recordHead(in: bytes)
            guard head.type == .opt else {
                records.append(try cursor.record(head, in: bytes))
                continue
            }
            guard isAdditional, `extension` == nil else { throw .extension }
            `extension` = try DNSExtension(head, in: bytes)
        }
        return records
    }

    /// The whole response code: the header's 4 bits and the 8 of EDNS.
    package var responseCode: DNSResponseCode {
        DNSResponseCode(rawValue: UInt16(`extension`?.extendedCode ?? 0) << 4 | header.responseCode.rawValue & 15)
    }

    /// Where the first question was, as it was spelled, in the bytes that the message was read from.
    ///
    /// Name, type and class; a first question cannot be compressed, because no name comes before it.
    package var questionBytes: Range<Int>? {
        questions.first.map { DNSHeader.length..<(DNSHeader.length + $0.name.wire.count + 4) }
    }
}

extension DNSExtension {
    /// Reads an OPT record (RFC 6891 §6.1.2): the owner is the root, and the options fill the data.
    init(_ head: RecordHead, in bytes: RawSpan) throws(DNSError) {
        guard head.name.isRoot else { throw .extension }
        self.init(
            payloadSize: head.class,
            extendedCode: UInt8(truncatingIfNeeded: head.ttl >> 24),
            version: UInt8(truncatingIfNeeded: head.ttl >> 16),
            dnssecOK: head.ttl & 0x8000 != 0,
        )
        var options = head.data.lowerBound
        let end = head.data.upperBound
        while options < end {
            guard end - options >= 4, let length = bytes.network16(at: options + 2), Int(length) <= end - options - 4
            else { throw .extension }
            options += 4 + Int(length)
        }
    }
}
