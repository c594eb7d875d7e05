import Model
import TestSupport
import Testing

@testable import Wire

/// What the reader says of whole messages written by hand.
@Suite("DNS messages")
struct DNSMessageTests {
    private func refusal(_ bytes: [UInt8]) -> DNSError? {
        do {
            _ = try bytes.dnsMessage()
            return nil
        } catch {
            return error as? DNSError
        }
    }

    private func data(_ type: DNSType, _ data: [UInt8], class: Int = 1) throws -> DNSRecord.Data {
        let answers = try DNSBytes.answer(type, data, class: `class`).dnsMessage().answers
        return try #require(answers.first).data
    }

    private func name(_ text: String) throws -> DNSName { try #require(DNSName(wire: DNSBytes.name(text))) }

    @Test("a chain with authority and additionals")
    func readsChain() throws {
        let message = try DNSBytes.chain.dnsMessage()
        #expect(message.header.isResponse)
        #expect(message.questions == [DNSQuestion(name: try name("www.example.org"), type: .a)])
        let target = try name("cdn.example.org")
        #expect(
            message.answers == [
                DNSRecord(name: try name("www.example.org"), type: .cname, ttl: 60, data: .name(target)),
                DNSRecord(name: target, type: .a, ttl: 60, data: .address(.v4(0xc000_0201))),
                DNSRecord(name: target, type: .a, ttl: 0, data: .address(.v4(0xc000_0202))),
            ]
        )
        let server = DNSRecord.Data.name(try name("ns.example.org"))
        #expect(message.authorities == [DNSRecord(name: try name("example.org"), type: .ns, ttl: 60, data: server)])
        #expect(message.additionals.map(\.type) == [.aaaa])
        #expect(message.additionals.first?.data == .address(try #require(IPAddress("2001:db8::1"))))
        #expect(message.extension == DNSExtension(payloadSize: 1232, dnssecOK: true))
        #expect(message.questionBytes == 12..<33)
    }

    @Test("the response code has 12 bits with EDNS")
    func joinsCodes() throws {
        let opt = DNSBytes.record([0], .opt, [], ttl: [1, 0, 0, 0], class: 1232)
        let message = try (DNSBytes.header(0x8185, [0, 0, 0, 1]) + opt).dnsMessage()
        #expect(message.responseCode.rawValue == 0x15)
        #expect(message.header.responseCode == .refused)
        #expect(try DNSBytes.header(0x8183, [0, 0, 0, 0]).dnsMessage().responseCode == .nameError)
    }

    @Test("a time to live with the top bit is 0")
    func readsTTL() throws {
        for (bytes, ttl): ([UInt8], UInt32) in [([0x7f, 255, 255, 255], 0x7fff_ffff), ([0x80, 0, 0, 0], 0)] {
            let record = DNSBytes.record([0], .a, [1, 2, 3, 4], ttl: bytes)
            #expect(try (DNSBytes.header(0x8180, [0, 1, 0, 0]) + record).dnsMessage().answers.first?.ttl == ttl)
        }
    }

    @Test("addresses have their length")
    func readsAddresses() throws {
        #expect(try data(.a, [10, 0, 0, 1]) == .address(.v4(0x0a00_0001)))
        let mapped = hex("00000000 00000000 0000ffff 0a000001")
        #expect(try data(.aaaa, mapped) == .address(.v4(0x0a00_0001)))
        for count in [0, 3, 5, 16] {
            #expect(refusal(DNSBytes.answer(.a, [UInt8](repeating: 1, count: count))) == .length)
        }
        for count in [0, 4, 15, 17] {
            #expect(refusal(DNSBytes.answer(.aaaa, [UInt8](repeating: 1, count: count))) == .length)
        }
    }

    @Test("names end where the data does", arguments: [DNSType.cname, .ns, .ptr, .dname])
    func readsNames(_ type: DNSType) throws {
        #expect(try data(type, hex("01 41 c010")) == .name(name("a.example.org")))
        #expect(refusal(DNSBytes.answer(type, hex("01 41 c010 00"))) == .length)
        #expect(refusal(DNSBytes.answer(type, hex("01 41 c0"))) == .truncated)
        #expect(refusal(DNSBytes.answer(type, [])) == .truncated)
        #expect(refusal(DNSBytes.answer(type, hex("03 612e62 00"))) == .labelByte)
        #expect(refusal(DNSBytes.answer(type, hex("03 610062 00"))) == .labelByte)
        #expect(refusal(DNSBytes.answer(type, hex("ffff"))) == .pointer)
    }

    @Test("an owner with a dot or NUL is refused")
    func refusesOwners() {
        for owner in [hex("03 612e62 00"), hex("03 610062 00")] {
            let record = DNSBytes.record(owner, .txt, [0])
            #expect(refusal(DNSBytes.header(0x8180, [0, 1, 0, 0]) + record) == .labelByte)
            #expect(refusal(DNSBytes.header(0x8180, [0, 0, 1, 0]) + record) == .labelByte)
            #expect(refusal(DNSBytes.header(0x0100, [1, 0, 0, 0]) + DNSBytes.question(owner)) == .labelByte)
        }
    }

    @Test("SOA: a dot in the mailbox alone")
    func readsAuthority() throws {
        guard
            case .authority(let primary, let mailbox, let serial, let refresh, let retry, let expire, let minimum) =
                try data(.soa, DNSBytes.authority)
        else {
            Issue.record("no SOA")
            return
        }
        #expect(primary == (try name("ns.example.org")))
        #expect(mailbox.text == #"a\.b\000.example.org"#)
        #expect(mailbox.domain == nil)
        #expect([serial, refresh, retry, expire, minimum] == [7, 3600, 600, 86_400, 60])
        #expect(refusal(DNSBytes.answer(.soa, hex("03 612e62 00 00") + [UInt8](repeating: 0, count: 20))) == .labelByte)
        #expect(refusal(DNSBytes.answer(.soa, DNSBytes.authority + [0])) == .length)
        #expect(refusal(DNSBytes.answer(.soa, DNSBytes.authority.dropLast())) == .truncated)
    }

    @Test("SRV")
    func readsService() throws {
        let expected = DNSRecord.Data.service(priority: 1, weight: 2, port: 443, target: try name("a.example.org"))
        #expect(try data(.srv, hex("0001 0002 01bb 01 61 c010")) == expected)
        #expect(try data(.srv, hex("0001 0002 01bb") + DNSBytes.name("A.example.org")) == expected)
        for bad in ["", "0001 0002 01", "0001 0002 01bb", "0001 0002 01bb 01 61"] {
            #expect(refusal(DNSBytes.answer(.srv, hex(bad))) == .truncated)
        }
        #expect(refusal(DNSBytes.answer(.srv, hex("0001 0002 01bb 00 00"))) == .length)
        #expect(refusal(DNSBytes.answer(.srv, hex("0001 0002 01bb 03 612e62 00"))) == .labelByte)
    }

    @Test("SVCB and HTTPS: the target is not compressed, the keys ascend", arguments: [DNSType.svcb, .https])
    func readsBinding(_ type: DNSType) throws {
        let parameters = [ServiceParameter(key: 1, value: hex("02 6832")), ServiceParameter(key: 5, value: [])]
        let expected = DNSRecord.Data.binding(priority: 1, target: .root, parameters: parameters)
        #expect(try data(type, hex("0001 00 0001 0003 02 6832 0005 0000")) == expected)
        #expect(try data(type, hex("0000 00")) == .binding(priority: 0, target: .root, parameters: []))
        #expect(refusal(DNSBytes.answer(type, hex("0001 c010"))) == .pointer)
        #expect(refusal(DNSBytes.answer(type, hex("0001 03 612e62 00"))) == .labelByte)
        #expect(refusal(DNSBytes.answer(type, hex("0001 00 0005 0000 0001 0000"))) == .parameters)
        #expect(refusal(DNSBytes.answer(type, hex("0001 00 0001 0000 0001 0000"))) == .parameters)
        for bad in ["", "00", "0001", "0001 00 00", "0001 00 0001", "0001 00 0001 0002 01", "0001 00 0001 ffff"] {
            #expect(refusal(DNSBytes.answer(type, hex(bad))) == .truncated, "\(bad)")
        }
    }

    @Test("other types and classes are kept as they are")
    func readsOpaque() throws {
        #expect(try data(.txt, hex("03 616263")) == .opaque(hex("03 616263")))
        #expect(try data(DNSType(rawValue: 65_399), []) == .opaque([]))
        #expect(try data(.a, [1, 2], class: 3) == .opaque([1, 2]))
        #expect(try data(.srv, [], class: 254) == .opaque([]))
        #expect(
            try data(.null, [UInt8](repeating: 0xc0, count: 1000)) == .opaque([UInt8](repeating: 0xc0, count: 1000))
        )
    }

    @Test("compressed names in old types are written out")
    func expandsOpaque() throws {
        let tail = DNSBytes.name("example.org")
        let mail = Array([4] + "mail".utf8)
        #expect(try data(.mx, hex("000a") + mail + hex("c010")) == .opaque(hex("000a") + mail + tail))
        #expect(try data(.afsdb, hex("0001 c010")) == .opaque(hex("0001") + tail))
        #expect(try data(.rp, hex("c010 03 612e62 c010")) == .opaque(tail + hex("03 612e62") + tail))
        let pointer = hex("000a 000a 01 53 00 02 6162")
        #expect(try data(.naptr, pointer + hex("c010")) == .opaque(pointer + tail))
        #expect(try data(DNSType(rawValue: 7), hex("c010")) == .opaque(tail))
        let signature = [UInt8](repeating: 1, count: 18)
        #expect(try data(DNSType(rawValue: 24), signature + hex("c010 0102")) == .opaque(signature + tail + [1, 2]))
        #expect(refusal(DNSBytes.answer(.mx, hex("000a c010 00"))) == .length)
        #expect(refusal(DNSBytes.answer(.mx, [])) == .truncated)
        #expect(refusal(DNSBytes.answer(.naptr, hex("000a 000a 05 53"))) == .truncated)
        // Written out it would be longer than a record can be.
        let long = [UInt8](repeating: 1, count: 65_000)
        let question = DNSBytes.question(
            Array(repeating: [49] + [UInt8](repeating: 0x61, count: 49), count: 5).flatMap(\.self) + [0]
        )
        let record = DNSBytes.record(DNSBytes.pointer, DNSType(rawValue: 24), signature + DNSBytes.pointer + long)
        #expect(refusal(DNSBytes.header(0x8180, [1, 1, 0, 0]) + question + record) == nil)
        let longer = DNSBytes.record(
            [0],
            DNSType(rawValue: 24),
            signature + DNSBytes.pointer + long + [UInt8](repeating: 1, count: 500),
        )
        #expect(refusal(DNSBytes.header(0x8180, [1, 1, 0, 0]) + question + longer) == .length)
    }

    @Test("OPT stands once, among the additionals, and is the root's")
    func refusesExtensions() {
        let opt = DNSBytes.opt()
        #expect(refusal(DNSBytes.header(0x8180, [0, 1, 0, 0]) + opt) == .extension)
        #expect(refusal(DNSBytes.header(0x8180, [0, 0, 1, 0]) + opt) == .extension)
        #expect(refusal(DNSBytes.header(0x8180, [0, 0, 0, 2]) + opt + opt) == .extension)
        #expect(
            refusal(DNSBytes.header(0x8180, [0, 0, 0, 1]) + DNSBytes.record([1, 0x61, 0], .opt, [])) == .extension
        )
        #expect(refusal(DNSBytes.header(0x8180, [0, 0, 0, 1]) + opt) == nil)
    }

    @Test("counts that the bytes cannot hold, and bytes that no count names")
    func refusesCounts() {
        for counts in [[65_535, 0, 0, 0], [0, 65_535, 65_535, 65_535], [1, 0, 0, 0], [0, 0, 0, 1]] {
            #expect(refusal(DNSBytes.header(0x8180, counts)) == .truncated)
        }
        #expect(refusal(DNSBytes.chain + [0]) == .trailing)
        #expect(refusal(DNSBytes.header(0x8180, [0, 0, 0, 0]) + [0]) == .trailing)
        for length in 0..<DNSBytes.chain.count {
            #expect(refusal(Array(DNSBytes.chain.prefix(length))) != nil, "\(length)")
        }
    }

    @Test("several questions are read")
    func readsQuestions() throws {
        let bytes =
            DNSBytes.header(0, [2, 0, 0, 0]) + DNSBytes.question([1, 0x61, 0]) + DNSBytes.question([0xc0, 12], .txt)
        #expect(try bytes.dnsMessage().questions.map(\.name.text) == ["a", "a"])
    }

    @Test("a hostile message takes bounded work")
    func boundsWork() throws {
        // 127 pointers, then records whose owners and data go through all of them.
        var bytes = DNSBytes.question([0]) + DNSBytes.record([0], .null, [UInt8](repeating: 0, count: 0))
        var last = DNSHeader.length
        var chain: [UInt8] = []
        let start = DNSHeader.length + bytes.count + 11
        for _ in 0..<125 {
            chain += [0xc0 | UInt8(last >> 8), UInt8(last & 255)]
            last = start + chain.count - 2
        }
        bytes += DNSBytes.record([0], .null, chain)
        let pointer: [UInt8] = [0xc0 | UInt8(last >> 8), UInt8(last & 255)]
        let record = DNSBytes.record(pointer, .cname, pointer)
        let count = (65_535 - DNSHeader.length - bytes.count) / record.count
        for _ in 0..<count { bytes += record }
        let message = try (DNSBytes.header(0x8180, [1, count + 2, 0, 0]) + bytes).dnsMessage()
        #expect(message.answers.count == count + 2)
        #expect(message.answers.last?.data == .name(.root))
    }
}
