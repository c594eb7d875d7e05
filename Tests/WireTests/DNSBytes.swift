import Model
import TestSupport
import Wire

extension [UInt8] {
    // `try?` and `catch` around a borrowed span crash the compiler (6.3.1), so the calls stand in functions of their own.

    func dnsMessage() throws -> DNSMessage { try DNSMessage(raw) }

    func dnsQuery() throws -> DNSQuery { try DNSQuery(raw) }

    func dnsHeader() throws -> DNSHeader { try DNSHeader(raw) }
}

/// DNS messages and their parts, written by hand.
enum DNSBytes {
    /// A pointer to the first question's name.
    static let pointer: [UInt8] = [0xc0, 12]

    /// 16 bits in network byte order.
    static func word(_ value: Int) -> [UInt8] { [UInt8(value >> 8 & 255), UInt8(value & 255)] }

    /// A header with id 0x1234.
    static func header(_ flags: Int, _ counts: [Int]) -> [UInt8] {
        [0x12, 0x34] + word(flags) + counts.flatMap(word)
    }

    /// The wire form of a name whose labels have no dots, spelled as it is.
    static func name(_ text: String) -> [UInt8] {
        text.split(separator: ".").flatMap { [UInt8($0.utf8.count)] + Array($0.utf8) } + [0]
    }

    static func question(_ name: [UInt8], _ type: DNSType = .a) -> [UInt8] { name + word(Int(type.rawValue)) + [0, 1] }

    static func record(
        _ owner: [UInt8],
        _ type: DNSType,
        _ data: [UInt8],
        ttl: [UInt8] = [0, 0, 0, 60],
        class: Int = 1,
    ) -> [UInt8] {
        owner + word(Int(type.rawValue)) + word(`class`) + ttl + word(data.count) + data
    }

    /// An OPT record: 1232 bytes, version 0.
    static func opt(_ options: [UInt8] = []) -> [UInt8] {
        record([0], .opt, options, ttl: [0, 0, 0x80, 0], class: 1232)
    }

    /// A query for the A record of www.example.org in mixed case, with OPT.
    static let query = header(0x0120, [1, 0, 0, 1]) + question(name("wWw.Example.ORG")) + opt()

    /// The answer to a question for www.example.org: one record of this type, whose owner is compressed.
    static func answer(_ type: DNSType, _ data: [UInt8], class: Int = 1) -> [UInt8] {
        header(0x8180, [1, 1, 0, 0]) + question(name("www.example.org"), type)
            + record(pointer, type, data, class: `class`)
    }

    /// An answer with a CNAME, two addresses, an authority and additional records with OPT among them.
    static let chain =
        header(0x8180, [1, 3, 1, 2]) + question(name("www.example.org"))
        + record(pointer, .cname, hex("03 63646e c010"))
        + record(hex("c02d"), .a, [192, 0, 2, 1])
        + record(hex("c02d"), .a, [192, 0, 2, 2], ttl: [0x80, 0, 0, 1])
        + record(hex("c010"), .ns, hex("02 6e73 c010"))
        + opt()
        + record(hex("c010"), .aaaa, hex("20010db8 00000000 00000000 00000001"))

    /// The data of a SOA record: the mailbox has a dot in its first label.
    static let authority =
        hex("02 6e73 c010") + [4] + Array("a.b\0".utf8) + hex("c010")
        + hex("00000007 00000e10 00000258 00015180 0000003c")

    /// Messages of every form, for mutation.
    static let all: [[UInt8]] = [
        query, chain, answer(.soa, authority), answer(.srv, hex("0001 0002 01bb") + name("host.example.org")),
        answer(.https, hex("0001 00 0001 0003 02 6832 0003 0002 01bb 0005 0002 abcd")),
        answer(.mx, hex("000a 04 6d61696c c010")), answer(.txt, hex("03 616263")),
        answer(.naptr, hex("000a 000a 01 53 00 00 c010")),
    ]
}
