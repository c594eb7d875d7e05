import Model
import TestSupport
import Testing

@testable import Wire

/// No bytes make a reader of DNS trap, and what it read is written and read alike.
@Suite("Readers of foreign bytes, DNS")
struct DNSRobustnessTests {
    /// Reads the bytes in every way there is; a sentence about what is wrong, or nil.
    static func flaw(of bytes: [UInt8]) -> String? {
        let message = try? bytes.dnsMessage()
        if let query = try? bytes.dnsQuery() {
            guard let message, message.questions == [query.question], message.extension == query.extension else {
                return "the query is another message"
            }
        }
        guard let message else { return nil }
        guard (try? message.encoded(limit: 1 << 24).dnsMessage()) == message else { return "written differently" }
        guard message.questions.count <= 1 else { return nil }
        let cut = message.encoded(limit: 512)
        guard cut.count <= 512, let short = try? cut.dnsMessage() else { return "cut badly" }
        guard message.answers.starts(with: short.answers) else { return "other answers" }
        guard short.header.isTruncated || short.answers == message.answers else { return "no TC" }
        return nil
    }

    @Test("a message cut at any length is refused, or written alike")
    func survivesTruncation() {
        for bytes in DNSBytes.all {
            for length in 0...bytes.count { #expect(Self.flaw(of: Array(bytes.prefix(length))) == nil, "\(length)") }
        }
    }

    @Test("changed bytes never trap")
    func survivesMutation() {
        let seed = SplitMix.seed()
        var random = SplitMix(state: seed)
        for round in 0..<40_000 {
            var bytes = DNSBytes.all[round % DNSBytes.all.count]
            for _ in 0...Int.random(in: 0..<3, using: &random) { bytes = bytes.mutated(using: &random) }
            guard let flaw = Self.flaw(of: bytes) else { continue }
            Issue.record("EGRESSD_SEED=\(seed) round \(round): \(flaw) of \(bytes)")
            return
        }
    }

    @Test("a pointer to anywhere is read or refused")
    func survivesPointers() {
        let start = DNSBytes.answer(.cname, hex("03 616263 c010"))
        for target in 0...0x3fff {
            let bytes = start.dropLast(2) + DNSBytes.word(0xc000 | target)
            guard let flaw = Self.flaw(of: Array(bytes)) else { continue }
            Issue.record("\(target): \(flaw)")
            return
        }
    }
}
