/// What a client asks: a query with exactly one question, and with no record but OPT.
///
/// The quick reader of what a resolver is sent; it allocates the bytes of the name and nothing else. Never traps, whatever the
/// bytes are.
package struct DNSQuery: Hashable, Sendable {
    package let header: DNSHeader
    package let question: DNSQuestion
    /// What the OPT record says, if there is one.
    package let `extension`: DNSExtension?

    /// Reads a whole message; bytes behind its last record are an error.
    ///
    /// The header is judged first, in this order: a response, an opcode, the number of questions, records. What is refused for
    /// another reason than `response` can be answered with what `DNSHeader` reads.
    package init(_ bytes: RawSpan) throws(DNSError) {
        header = try DNSHeader(bytes)
        guard !header.isResponse else { throw .response }
        guard header.opcode == 0 else { throw .opcode(header.opcode) }
        guard header.questionCount == 1 else { throw .questions(header.questionCount) }
        guard header.answerCount == 0, header.authorityCount == 0, header.additionalCount <= 1 else { throw .records }
        var cursor = DNSCursor(DNSHeader.length..<bytes.byteCount)
        question = try cursor.question(in: bytes)
        if header.additionalCount == 1 {
            let head = try cursor.recordHead(in: bytes)
            guard head.type == .opt else { throw .records }
            self.extension = try DNSExtension(head, in: bytes)
        } else {
            self.extension = nil
        }
        guard cursor.isAtEnd else { throw .trailing }
    }

    /// Where the question is, as the client spelled it, in the bytes that the query was read from: name, type and class.
    package var questionBytes: Range<Int> {
        DNSHeader.length..<(DNSHeader.length + question.name.wire.count + 4)
    }
}
