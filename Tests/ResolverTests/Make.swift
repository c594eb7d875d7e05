import Model
import Wire

@testable import Resolver

extension [UInt8] {
    /// The bytes as the readers take them.
    var raw: RawSpan {
        @_lifetime(borrow self)
        borrowing get { unsafe span.bytes }
    }

    // `try?` and `catch` around a borrowed span crash the compiler (6.3.1), so the calls stand in functions of their own.

    func query() throws -> DNSQuery { try DNSQuery(raw) }

    func message() throws -> DNSMessage { try DNSMessage(raw) }
}

/// The name of a text with dots.
func name(_ text: String) -> DNSName {
    DNSName(labels: text.split(separator: ".").map { Array($0.utf8) }) ?? .root
}

func ask(_ text: String, _ type: DNSType = .a) -> DNSQuestion { DNSQuestion(name: name(text), type: type) }

func a(_ owner: String, _ address: String, ttl: UInt32 = 300) -> DNSRecord {
    DNSRecord(name: name(owner), type: .a, ttl: ttl, data: .address(IPAddress(address) ?? .v4(0)))
}

func aaaa(_ owner: String, _ address: String, ttl: UInt32 = 300) -> DNSRecord {
    DNSRecord(name: name(owner), type: .aaaa, ttl: ttl, data: .address(IPAddress(address) ?? .v6(0)))
}

func cname(_ owner: String, _ target: String, ttl: UInt32 = 300) -> DNSRecord {
    DNSRecord(name: name(owner), type: .cname, ttl: ttl, data: .name(name(target)))
}

func ns(_ owner: String, _ target: String) -> DNSRecord {
    DNSRecord(name: name(owner), type: .ns, ttl: 300, data: .name(name(target)))
}

func soa(_ owner: String, ttl: UInt32 = 600, minimum: UInt32 = 60) -> DNSRecord {
    DNSRecord(
        name: name(owner),
        type: .soa,
        ttl: ttl,
        data: .authority(
            primary: name("ns." + owner),
            mailbox: name("admin." + owner),
            serial: 1,
            refresh: 2,
            retry: 3,
            expire: 4,
            minimum: minimum,
        ),
    )
}

func https(_ owner: String, _ parameters: [ServiceParameter], type: DNSType = .https) -> DNSRecord {
    DNSRecord(
        name: name(owner),
        type: type,
        ttl: 300,
        data: .binding(priority: 1, target: .root, parameters: parameters),
    )
}

/// What a server says; everything but id and question.
struct Reply {
    var code = DNSResponseCode.noError
    var answers: [DNSRecord] = []
    var authorities: [DNSRecord] = []
    var additionals: [DNSRecord] = []
    var isTruncated = false
    var isAuthoritative = false
    var hasExtension = true
    /// Changes the question as it is echoed.
    var echo: ([UInt8]) -> [UInt8] = { $0 }
    var idOffset: UInt16 = 0

    /// The message that answers a query.
    func bytes(to query: [UInt8]) throws -> [UInt8] {
        let read = try query.query()
        var header = DNSHeader(id: read.header.id &+ idOffset)
        header.isResponse = true
        header.recursionDesired = true
        header.recursionAvailable = true
        header.isTruncated = isTruncated
        header.isAuthoritative = isAuthoritative
        header.responseCode = code
        let sent = hasExtension && read.extension != nil
        var writer = DNSWriter(header, extension: sent ? DNSExtension(payloadSize: 1232) : nil)
        writer.append(question: echo(Array(query[read.questionBytes])).raw)
        for record in answers { writer.append(record, to: .answer) }
        for record in authorities { writer.append(record, to: .authority) }
        for record in additionals { writer.append(record, to: .additional) }
        var bytes = writer.finish()
        if isTruncated { bytes[2] |= 2 }
        return bytes
    }
}
