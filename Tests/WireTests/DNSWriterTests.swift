import Model
import TestSupport
import Testing

@testable import Wire

/// What is written is read as what was meant, within its limit.
@Suite("DNS writer")
struct DNSWriterTests {
    private func name(_ text: String) throws -> DNSName { try #require(DNSName(wire: DNSBytes.name(text))) }

    private var header: DNSHeader {
        var header = DNSHeader(id: 0x1234)
        header.isResponse = true
        return header
    }

    // `#expect` cannot hold a mutating call.
    private func added(_ record: DNSRecord, to section: DNSSection, of writer: inout DNSWriter) -> Bool {
        writer.append(record, to: section)
    }

    /// A message with `count` addresses of www.example.org.
    private func addresses(_ count: Int) throws -> DNSMessage {
        let owner = try name("www.example.org")
        return DNSMessage(
            header: header,
            questions: [DNSQuestion(name: owner, type: .a)],
            answers: (0..<count).map { DNSRecord(name: owner, type: .a, ttl: 60, data: .address(.v4(UInt32($0)))) },
        )
    }

    @Test("what was read is written and read again")
    func repeats() throws {
        for bytes in DNSBytes.all {
            let message = try bytes.dnsMessage()
            #expect(try message.encoded().dnsMessage() == message)
        }
    }

    @Test("owners and the names of CNAME, NS, PTR and SOA are compressed")
    func compresses() throws {
        #expect(try DNSBytes.chain.dnsMessage().encoded().count == DNSBytes.chain.count)
        #expect(
            try DNSBytes.answer(.soa, DNSBytes.authority).dnsMessage().encoded().count
                == DNSBytes.answer(.soa, DNSBytes.authority).count
        )
        #expect(
            try DNSBytes.answer(.ptr, hex("01 61 c010")).dnsMessage().encoded()
                == DNSBytes.answer(.ptr, hex("01 61 c010"))
        )
    }

    @Test("the names in other records are not", arguments: [DNSType.srv, .svcb, .https, .dname, .mx])
    func keepsNamesWhole(_ type: DNSType) throws {
        let prefix: [DNSType: [UInt8]] = [.srv: hex("000100020003"), .dname: []]
        let bytes = DNSBytes.answer(type, (prefix[type] ?? [0, 1]) + DNSBytes.name("www.example.org"))
        #expect(try bytes.dnsMessage().encoded() == bytes)
    }

    @Test("an IPv4 address in an AAAA record stays v4-mapped")
    func keepsMapped() throws {
        let bytes = DNSBytes.answer(.aaaa, hex("00000000 00000000 0000ffff 0a000001"))
        #expect(try bytes.dnsMessage().encoded() == bytes)
    }

    @Test("the question is spelled as it was, and pointed to all the same")
    func spells() throws {
        let spelled = DNSBytes.name("wWw.eXample.oRg")
        let owner = try name("www.example.org")
        let record = DNSRecord(name: owner, type: .a, ttl: 1, data: .address(.v4(1)))
        var first = DNSWriter(header)
        first.append(DNSQuestion(name: owner, type: .a), spelling: spelled)
        first.append(record, to: .answer)
        let question = DNSBytes.question(spelled)
        var second = DNSWriter(header)
        second.append(question: question.raw)
        second.append(record, to: .answer)
        let expected =
            DNSBytes.header(0x8000, [1, 1, 0, 0]) + question
            + DNSBytes.record(DNSBytes.pointer, .a, [0, 0, 0, 1], ttl: [0, 0, 0, 1])
        #expect(first.finish() == expected)
        #expect(second.finish() == expected)
    }

    @Test("a spelling of another name is not used", arguments: ["www.example.com", "ww.example.org", ""])
    func refusesSpellings(_ text: String) throws {
        let owner = try name("www.example.org")
        var writer = DNSWriter(header)
        writer.append(DNSQuestion(name: owner, type: .a), spelling: DNSBytes.name(text))
        #expect(try writer.finish().dnsMessage().questions.map(\.name) == [owner])
    }

    @Test("a question that is none does no harm", arguments: ["", "01", "0161", "c00c", "ff", "0141 00 0001 0001"])
    func writesAnyQuestion(_ text: String) throws {
        let bytes = hex(text)
        var writer = DNSWriter(header)
        writer.append(question: bytes.raw)
        writer.append(DNSRecord(name: try name("a"), type: .a, ttl: 1, data: .address(.v4(1))), to: .answer)
        #expect(Array(writer.finish()[12...].prefix(bytes.count)) == bytes)
    }

    @Test("a time to live that was counted down")
    func countsDown() throws {
        var writer = DNSWriter(header)
        let record = DNSRecord(name: .root, type: .a, ttl: 60, data: .address(.v4(1)))
        writer.append(record, ttl: 7, to: .answer)
        #expect(try writer.finish().dnsMessage().answers.map(\.ttl) == [7])
    }

    @Test("what does not fit is cut at a whole record and bears TC", arguments: 33..<200)
    func cuts(_ limit: Int) throws {
        let message = try addresses(10)
        let cut = try message.encoded(limit: limit).dnsMessage()
        #expect(message.encoded(limit: limit).count <= limit)
        #expect(cut.answers.count == min(10, (limit - 33) / 16))
        #expect(cut.answers[...] == message.answers.prefix(cut.answers.count))
        #expect(cut.header.isTruncated == (cut.answers.count < 10))
        #expect(cut.header.answerCount == UInt16(cut.answers.count))
    }

    @Test("OPT has its place in what is cut")
    func keepsExtension() throws {
        var message = try addresses(100)
        message.extension = DNSExtension(payloadSize: 1232, extendedCode: 1, version: 0, dnssecOK: true)
        for limit in [44, 59, 60, 512] {
            let bytes = message.encoded(limit: limit)
            #expect(bytes.count <= limit)
            #expect(try bytes.dnsMessage().extension == message.extension)
            #expect(try bytes.dnsMessage().answers.count == (limit - 44) / 16)
        }
    }

    @Test("missing additionals are no truncation, and nothing follows what was cut")
    func cutsSections() throws {
        var message = try addresses(2)
        message.additionals = message.answers
        let short = try message.encoded(limit: 33 + 16 * 3).dnsMessage()
        #expect(short.additionals.count == 1)
        #expect(!short.header.isTruncated)
        message.answers.insert(
            DNSRecord(name: .root, type: .null, ttl: 0, data: .opaque([UInt8](repeating: 0, count: 500))),
            at: 1
        )
        let shorter = try message.encoded(limit: 512).dnsMessage()
        #expect(shorter.answers.count == 1)
        #expect(shorter.additionals.isEmpty)
        #expect(shorter.header.isTruncated)
    }

    @Test("sections come in their order")
    func ordersSections() throws {
        let record = DNSRecord(name: .root, type: .a, ttl: 60, data: .address(.v4(1)))
        var writer = DNSWriter(header)
        #expect(added(record, to: .authority, of: &writer))
        #expect(!added(record, to: .answer, of: &writer))
        #expect(added(record, to: .additional, of: &writer))
        let message = try writer.finish().dnsMessage()
        #expect([message.answers.count, message.authorities.count, message.additionals.count] == [0, 1, 1])
        #expect(!message.header.isTruncated)
    }

    @Test("names that were cut away are not pointed to")
    func forgets() throws {
        let long = DNSRecord(
            name: try name("a.b"),
            type: .null,
            ttl: 0,
            data: .opaque([UInt8](repeating: 7, count: 600))
        )
        var writer = DNSWriter(header, limit: 512)
        #expect(!added(long, to: .answer, of: &writer))
        #expect(writer.names.count == 0)
        #expect(writer.finish().count == 12)
    }

    @Test("data that no length can name is refused")
    func refusesLongData() throws {
        let data = [UInt8](repeating: 0, count: 65_536)
        let opaque = DNSRecord(name: .root, type: .null, ttl: 0, data: .opaque(data))
        let parameter = DNSRecord.Data.binding(
            priority: 1,
            target: .root,
            parameters: [ServiceParameter(key: 1, value: data)]
        )
        for record in [opaque, DNSRecord(name: .root, type: .https, ttl: 0, data: parameter)] {
            var writer = DNSWriter(header, limit: 1_000_000)
            #expect(!added(record, to: .answer, of: &writer))
            #expect(try writer.finish().dnsMessage().answers.isEmpty)
        }
    }

    @Test("options are written while they fit")
    func writesOptions() throws {
        let option = DNSOption(code: DNSOption.extendedError, value: hex("000f") + Array("blocked".utf8))
        let edns = DNSExtension(payloadSize: 1232)
        let expected =
            DNSBytes.header(0x8000, [0, 0, 0, 1]) + hex("00 0029 04d0 00000000 000d 000f 0009 000f")
            + Array("blocked".utf8)
        #expect(DNSWriter(header, extension: edns, options: [option]).finish() == expected)
        let long = DNSOption(code: 1, value: [UInt8](repeating: 0, count: 400))
        #expect(DNSWriter(header, extension: edns, options: [long, option], limit: 512).finish() == expected)
        #expect(DNSWriter(header, extension: edns, options: [option], limit: 20).finish().count == 23)
    }

    @Test("names far behind are not pointed to, and many names are written")
    func reaches() throws {
        var message = DNSMessage(header: header)
        message.answers = [
            DNSRecord(name: .root, type: .null, ttl: 0, data: .opaque([UInt8](repeating: 0, count: 0x4000)))
        ]
        for number in 0..<300 {
            let owner = try name("host\(number % 150).zone\(number % 7).example.org")
            message.answers.append(DNSRecord(name: owner, type: .cname, ttl: 0, data: .name(owner)))
        }
        #expect(try message.encoded().dnsMessage().answers == message.answers)
        message.answers.removeFirst()
        let bytes = message.encoded()
        #expect(try bytes.dnsMessage().answers == message.answers)
        #expect(bytes.count < 12_000)
    }
}
