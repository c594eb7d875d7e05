import Model
import TestSupport
import Testing

@testable import Wire

/// The quick reader of what clients send.
@Suite("DNS queries")
struct DNSQueryTests {
    private let name = DNSBytes.name("www.example.org")

    private func refusal(_ bytes: [UInt8]) -> DNSError? {
        do {
            _ = try bytes.dnsQuery()
            return nil
        } catch {
            return error as? DNSError
        }
    }

    @Test("a query with OPT")
    func reads() throws {
        let query = try DNSBytes.query.dnsQuery()
        #expect(query.header.id == 0x1234)
        #expect(query.header.recursionDesired)
        #expect(query.header.authenticData)
        #expect(!query.header.checkingDisabled)
        #expect(query.question == DNSQuestion(name: try #require(DNSName(wire: name)), type: .a))
        #expect(query.extension == DNSExtension(payloadSize: 1232, dnssecOK: true))
        #expect(query.questionBytes == 12..<33)
        #expect(Array(DNSBytes.query[query.questionBytes]) == DNSBytes.question(DNSBytes.name("wWw.Example.ORG")))
    }

    @Test("a query without OPT, and for the root")
    func readsPlain() throws {
        let query = try (DNSBytes.header(0x0100, [1, 0, 0, 0]) + DNSBytes.question([0], .ns)).dnsQuery()
        #expect(query.extension == nil)
        #expect(query.question.name.isRoot)
        #expect(query.questionBytes == 12..<17)
    }

    @Test("agrees with the reader of whole messages")
    func agrees() throws {
        let query = try DNSBytes.query.dnsQuery()
        let message = try DNSBytes.query.dnsMessage()
        #expect(message.header == query.header)
        #expect(message.questions == [query.question])
        #expect(message.extension == query.extension)
        #expect(message.questionBytes == query.questionBytes)
    }

    @Test("a response is refused before all else")
    func refusesResponses() {
        #expect(refusal(DNSBytes.header(0x8000, [1, 0, 0, 0]) + DNSBytes.question(name)) == .response)
        #expect(refusal(DNSBytes.header(0xa800, [2, 9, 9, 9])) == .response)
    }

    @Test("other opcodes are refused")
    func refusesOpcodes() {
        for opcode in 1...15 {
            let bytes = DNSBytes.header(opcode << 11, [1, 0, 0, 0]) + DNSBytes.question(name)
            #expect(refusal(bytes) == .opcode(UInt8(opcode)))
        }
    }

    @Test("exactly one question")
    func refusesOtherCounts() {
        let question = DNSBytes.question(name)
        #expect(refusal(DNSBytes.header(0x0100, [0, 0, 0, 0])) == .questions(0))
        #expect(refusal(DNSBytes.header(0x0100, [2, 0, 0, 0]) + question + question) == .questions(2))
        #expect(refusal(DNSBytes.header(0x0100, [65_535, 0, 0, 0]) + question) == .questions(65_535))
    }

    @Test("no records but one OPT")
    func refusesRecords() {
        let question = DNSBytes.question(name)
        let record = DNSBytes.record(DNSBytes.pointer, .a, [192, 0, 2, 1])
        #expect(refusal(DNSBytes.header(0x0100, [1, 1, 0, 0]) + question + record) == .records)
        #expect(refusal(DNSBytes.header(0x0100, [1, 0, 1, 0]) + question + record) == .records)
        #expect(refusal(DNSBytes.header(0x0100, [1, 0, 0, 1]) + question + record) == .records)
        #expect(
            refusal(DNSBytes.header(0x0100, [1, 0, 0, 2]) + question + DNSBytes.opt() + DNSBytes.opt()) == .records
        )
    }

    @Test("nothing behind the last record")
    func refusesTrailing() {
        #expect(refusal(DNSBytes.query + [0]) == .trailing)
        #expect(refusal(DNSBytes.header(0x0100, [1, 0, 0, 0]) + DNSBytes.question(name) + DNSBytes.opt()) == .trailing)
    }

    @Test("cut at any length it is refused")
    func refusesTruncation() {
        for length in 0..<DNSBytes.query.count {
            #expect(refusal(Array(DNSBytes.query.prefix(length))) == .truncated, "\(length)")
        }
    }

    @Test("a question cannot be compressed")
    func refusesPointers() {
        let header = DNSBytes.header(0x0100, [1, 0, 0, 0])
        #expect(refusal(header + DNSBytes.question([0xc0, 12])) == .pointer)
        #expect(refusal(header + DNSBytes.question([1, 0x61, 0xc0, 12])) == .pointer)
        #expect(refusal(header + DNSBytes.question([0xc0, 4])) == .pointer)
    }

    @Test("OPT of the root alone, with options that fit")
    func readsOptions() throws {
        let start = DNSBytes.header(0x0100, [1, 0, 0, 1]) + DNSBytes.question(name)
        let options = hex("000a 0008 0102030405060708 000c 0000")
        #expect(try (start + DNSBytes.opt(options)).dnsQuery().extension?.payloadSize == 1232)
        for bad in ["00", "000a00", "000a 0001", "000a 0000 00", "000a ffff 00"] {
            #expect(refusal(start + DNSBytes.opt(hex(bad))) == .extension, "\(bad)")
        }
        #expect(refusal(start + DNSBytes.record(DNSBytes.pointer, .opt, [])) == .extension)
        #expect(refusal(start + DNSBytes.record([1, 0x61, 0], .opt, [])) == .extension)
    }

    @Test("OPT's fields")
    func readsExtension() throws {
        let start = DNSBytes.header(0x0100, [1, 0, 0, 1]) + DNSBytes.question(name)
        let opt = DNSBytes.record([0], .opt, [], ttl: [0x12, 3, 0x7f, 0xff], class: 0xffff)
        let expected = DNSExtension(payloadSize: 65_535, extendedCode: 0x12, version: 3)
        #expect(try (start + opt).dnsQuery().extension == expected)
    }

    @Test("the header alone can be read of what is refused")
    func readsHeader() throws {
        let header = try DNSBytes.header(0x0100, [2, 0, 0, 0]).dnsHeader()
        #expect(header.id == 0x1234)
        #expect(header.questionCount == 2)
        #expect(throws: DNSError.truncated) { try Array(DNSBytes.query.prefix(11)).dnsHeader() }
    }

    @Test("every flag of the header is read and written in its place")
    func readsFlags() throws {
        for flags in (0...0xffff).filter({ $0 & 0x40 == 0 }) {
            let header = try DNSBytes.header(flags, [1, 2, 3, 4]).dnsHeader()
            guard header.flags != UInt16(flags) else { continue }
            Issue.record("\(flags) became \(header.flags)")
        }
        let header = try DNSBytes.header(0x85b5, [1, 2, 3, 4]).dnsHeader()
        #expect(header.isResponse && header.isAuthoritative && !header.isTruncated)
        #expect(header.recursionDesired && header.recursionAvailable)
        #expect(header.authenticData && header.checkingDisabled)
        #expect(header.responseCode == .refused)
        #expect(
            [header.questionCount, header.answerCount, header.authorityCount, header.additionalCount] == [1, 2, 3, 4]
        )
    }
}
