internal import Wire

/// The records of an answer as they stand in a response, so that a cached answer is written by a copy.
///
/// Names are compressed against the question, which has the same length in every response: only its letters' case differs.
struct AnswerTemplate: Sendable {
    struct Record: Sendable {
        /// Where its TTL stands in `bytes`.
        let ttl: Int
        /// Where it ends in `bytes`.
        let end: Int
    }

    /// What follows the question.
    let bytes: [UInt8]
    let records: [Record]
    /// So many of the records are answers; the rest are authorities.
    let answerCount: Int
    /// The length of the question in bytes that `bytes` stands behind.
    let questionLength: Int

    /// Nil when the records do not fit a message.
    init?(_ question: DNSQuestion, _ answers: [DNSRecord], _ authorities: [DNSRecord]) {
        var writer = DNSWriter(DNSHeader(id: 0))
        writer.append(question)
        for record in answers { guard writer.append(record, to: .answer) else { return nil } }
        for record in authorities { guard writer.append(record, to: .authority) else { return nil } }
        let message = writer.finish()
        let start = DNSHeader.length + question.name.wire.count + 4
        guard message.count >= start else { return nil }
        bytes = Array(message[start...])
        guard let records = Self.records(in: bytes), records.count == answers.count + authorities.count else {
            return nil
        }
        self.records = records
        answerCount = answers.count
        questionLength = start - DNSHeader.length
    }

    /// Walks over records that we wrote ourselves.
    private static func records(in bytes: [UInt8]) -> [Record]? {
        var records: [Record] = []
        var offset = 0
        while offset < bytes.count {
            guard let afterName = skipName(in: bytes, at: offset), afterName + 10 <= bytes.count else { return nil }
            let length = Int(bytes[afterName + 8]) << 8 | Int(bytes[afterName + 9])
            let end = afterName + 10 + length
            guard end <= bytes.count else { return nil }
            records.append(Record(ttl: afterName + 4, end: end))
            offset = end
        }
        return records
    }

    private static func skipName(in bytes: [UInt8], at start: Int) -> Int? {
        var offset = start
        while offset < bytes.count {
            switch bytes[offset] {
            case 0: return offset + 1
            case 0xc0...: return offset + 2
            case let length: offset += 1 + Int(length)
            }
        }
        return nil
    }
}
