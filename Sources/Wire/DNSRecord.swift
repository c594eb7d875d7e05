package import Model

/// One parameter of a SVCB or HTTPS record (RFC 9460 §2.2): its key and its value as it is on the wire.
package struct ServiceParameter: Hashable, Sendable {
    /// Keys that a client must understand.
    package static let mandatory: UInt16 = 0
    package static let alpn: UInt16 = 1
    package static let noDefaultALPN: UInt16 = 2
    package static let port: UInt16 = 3
    package static let ipv4hint: UInt16 = 4
    /// The keys that hide the server name of a ClientHello.
    package static let ech: UInt16 = 5
    package static let ipv6hint: UInt16 = 6

    package var key: UInt16
    /// At most 65,535 bytes.
    package var value: [UInt8]

    package init(key: UInt16, value: [UInt8]) {
        self.key = key
        self.value = value
    }
}

/// A resource record (RFC 1035 §4.1.3).
package struct DNSRecord: Hashable, Sendable {
    /// What a record says, in the form that its type asks for.
    package enum Data: Hashable, Sendable {
        /// A and AAAA. A v4-mapped address is the IPv4 address it holds: that it was in an AAAA is seen by the record's type.
        case address(IPAddress)
        /// CNAME, NS, PTR and DNAME.
        case name(DNSName)
        /// SRV (RFC 2782).
        case service(priority: UInt16, weight: UInt16, port: UInt16, target: DNSName)
        /// SVCB and HTTPS (RFC 9460); the parameters' keys ascend.
        case binding(priority: UInt16, target: DNSName, parameters: [ServiceParameter])
        /// SOA; intervals and `minimum` (RFC 2308 §4) are seconds. The mailbox alone may have dots and NULs in its labels.
        case authority(
            primary: DNSName,
            mailbox: DNSName,
            serial: UInt32,
            refresh: UInt32,
            retry: UInt32,
            expire: UInt32,
            minimum: UInt32
        )
        /// Every other type or class: the data as it is, with compressed names written out.
        case opaque([UInt8])
    }

    package var name: DNSName
    package var type: DNSType
    package var `class`: UInt16
    /// Seconds; 0 when the top bit was set (RFC 2181 §8).
    package var ttl: UInt32
    /// In the form that the type has; what does not fit the type is written as it is.
    package var data: Data

    package init(name: DNSName, type: DNSType, class: UInt16 = DNSClass.internet, ttl: UInt32, data: Data) {
        self.name = name
        self.type = type
        self.class = `class`
        self.ttl = ttl
        self.data = data
    }
}
