import Model

/// A record without its data, which is only placed.
struct RecordHead {
    let name: DNSName
    let type: DNSType
    let `class`: UInt16
    /// The 32 bits as they are: what they mean depends on the type.
    let ttl: UInt32
    let data: Range<Int>
}

extension DNSCursor {
    /// Reads a record up to its data and passes over that (RFC 1035 §4.1.3).
    ///
    /// ```
    /// +---------------------------------------------------------------+
    /// |                             owner                             |
    /// +-------------------------------+-------------------------------+
    /// |             type              |             class             |
    /// +-------------------------------+-------------------------------+
    /// |                     time to live, seconds                     |
    /// +-------------------------------+-------------------------------+
    /// |        length of the data     |             data              |
    /// ```
    mutating func recordHead(in bytes: RawSpan) throws(DNSError) -> RecordHead {
        let name = try name(in: bytes)
        let type = DNSType(rawValue: try take16(in: bytes))
        let `class` = try take16(in: bytes)
        let ttl = try take32(in: bytes)
        let length = try take16(in: bytes)
        return RecordHead(name: name, type: type, class: `class`, ttl: ttl, data: try skip(Int(length)))
    }

    /// The record with its data read.
    func record(_ head: RecordHead, in bytes: RawSpan) throws(DNSError) -> DNSRecord {
        var data = DNSCursor(head.data, first: first)
        return DNSRecord(
            name: head.name,
            type: head.type,
            class: head.class,
            ttl: head.ttl >> 31 == 0 ? head.ttl : 0,
            data: try data.data(of: head, in: bytes),
        )
    }

    /// Reads all of the range as data of the record's type.
    ///
    /// A, AAAA, SRV, SVCB and HTTPS have their form in class IN only.
    private mutating func data(of head: RecordHead, in bytes: RawSpan) throws(DNSError) -> DNSRecord.Data {
        let data: DNSRecord.Data
        switch head.type {
        case .a where head.class == DNSClass.internet: return .address(try address4(in: bytes))
        case .aaaa where head.class == DNSClass.internet: return .address(try address6(in: bytes))
        case .ns, .cname, .ptr, .dname: data = .name(try name(in: bytes))
        case .soa: data = try authority(in: bytes)
        case .srv where head.class == DNSClass.internet: data = try service(in: bytes)
        case .svcb where head.class == DNSClass.internet, .https where head.class == DNSClass.internet:
            data = try binding(in: bytes)
        default: return .opaque(try opaque(of: head, in: bytes))
        }
        guard isAtEnd else { throw .length }
        return data
    }

    /// An IPv4 address that is all of the data.
    private func address4(in bytes: RawSpan) throws(DNSError) -> IPAddress {
        guard rest.count == 4, let value = bytes.network32(at: offset) else { throw .length }
        return .v4(value)
    }

    /// An IPv6 address that is all of the data.
    private func address6(in bytes: RawSpan) throws(DNSError) -> IPAddress {
        guard rest.count == 16, let value = bytes.network128(at: offset) else { throw .length }
        return IPAddress(wire: value)
    }

    private mutating func service(in bytes: RawSpan) throws(DNSError) -> DNSRecord.Data {
        let priority = try take16(in: bytes)
        let weight = try take16(in: bytes)
        let port = try take16(in: bytes)
        return .service(priority: priority, weight: weight, port: port, target: try name(in: bytes))
    }

    private mutating func authority(in bytes: RawSpan) throws(DNSError) -> DNSRecord.Data {
        let primary = try name(in: bytes)
        let mailbox = try name(in: bytes, .anyBytes)
        let serial = try take32(in: bytes)
        let refresh = try take32(in: bytes)
        let retry = try take32(in: bytes)
        let expire = try take32(in: bytes)
        return .authority(
            primary: primary,
            mailbox: mailbox,
            serial: serial,
            refresh: refresh,
            retry: retry,
            expire: expire,
            minimum: try take32(in: bytes),
        )
    }

    /// Reads SVCB and HTTPS (RFC 9460 §2.2): the keys of the parameters ascend, so that each is there once.
    private mutating func binding(in bytes: RawSpan) throws(DNSError) -> DNSRecord.Data {
        let priority = try take16(in: bytes)
        let target = try name(in: bytes, .uncompressed)
        var parameters: [ServiceParameter] = []
        while !isAtEnd {
            let key = try take16(in: bytes)
            let length = try take16(in: bytes)
            let value = try skip(Int(length))
            if let last = parameters.last, last.key >= key { throw .parameters }
            parameters.append(ServiceParameter(key: key, value: bytes.copy(value)))
        }
        return .binding(priority: priority, target: target, parameters: parameters)
    }
}
