/// The type of a DNS record or question (RFC 1035 §3.2.2 and the IANA registry "Resource Record (RR) TYPEs").
package struct DNSType: RawRepresentable, Hashable, Sendable {
    /// The number on the wire.
    package let rawValue: UInt16

    package init(rawValue: UInt16) { self.rawValue = rawValue }

    package static let a = DNSType(rawValue: 1)
    package static let ns = DNSType(rawValue: 2)
    package static let cname = DNSType(rawValue: 5)
    package static let soa = DNSType(rawValue: 6)
    package static let null = DNSType(rawValue: 10)
    package static let ptr = DNSType(rawValue: 12)
    package static let hinfo = DNSType(rawValue: 13)
    package static let mx = DNSType(rawValue: 15)
    package static let txt = DNSType(rawValue: 16)
    package static let rp = DNSType(rawValue: 17)
    package static let afsdb = DNSType(rawValue: 18)
    package static let aaaa = DNSType(rawValue: 28)
    package static let loc = DNSType(rawValue: 29)
    package static let srv = DNSType(rawValue: 33)
    package static let naptr = DNSType(rawValue: 35)
    package static let cert = DNSType(rawValue: 37)
    package static let dname = DNSType(rawValue: 39)
    /// The pseudo record of EDNS (RFC 6891).
    package static let opt = DNSType(rawValue: 41)
    package static let ds = DNSType(rawValue: 43)
    package static let sshfp = DNSType(rawValue: 44)
    package static let rrsig = DNSType(rawValue: 46)
    package static let nsec = DNSType(rawValue: 47)
    package static let dnskey = DNSType(rawValue: 48)
    package static let nsec3 = DNSType(rawValue: 50)
    package static let tlsa = DNSType(rawValue: 52)
    /// A service's endpoints (RFC 9460).
    package static let svcb = DNSType(rawValue: 64)
    /// The endpoints of an https origin (RFC 9460).
    package static let https = DNSType(rawValue: 65)
    package static let tsig = DNSType(rawValue: 250)
    package static let ixfr = DNSType(rawValue: 251)
    package static let axfr = DNSType(rawValue: 252)
    /// Every type, as a question only (RFC 8482).
    package static let any = DNSType(rawValue: 255)
    package static let uri = DNSType(rawValue: 256)
    package static let caa = DNSType(rawValue: 257)

    private static let mnemonics: [DNSType: String] = [
        .a: "A", .ns: "NS", .cname: "CNAME", .soa: "SOA", .null: "NULL", .ptr: "PTR", .hinfo: "HINFO", .mx: "MX",
        .txt: "TXT", .rp: "RP", .afsdb: "AFSDB", .aaaa: "AAAA", .loc: "LOC", .srv: "SRV", .naptr: "NAPTR",
        .cert: "CERT", .dname: "DNAME", .opt: "OPT", .ds: "DS", .sshfp: "SSHFP", .rrsig: "RRSIG", .nsec: "NSEC",
        .dnskey: "DNSKEY", .nsec3: "NSEC3", .tlsa: "TLSA", .svcb: "SVCB", .https: "HTTPS", .tsig: "TSIG",
        .ixfr: "IXFR", .axfr: "AXFR", .any: "ANY", .uri: "URI", .caa: "CAA",
    ]
}

extension DNSType: CustomStringConvertible {
    /// The mnemonic, or `TYPE65399` for a type without one here (RFC 3597 §5).
    package var description: String { Self.mnemonics[self] ?? "TYPE\(rawValue)" }
}

extension DNSType {
    /// Reads a mnemonic or `TYPE` with a decimal number, in any case; nil when it is neither.
    package init?(mnemonic: String) {
        let upper = mnemonic.uppercased()
        if let known = Self.mnemonics.first(where: { $0.value == upper }) {
            self = known.key
            return
        }
        let digits = upper.utf8.dropFirst(4)
        guard upper.hasPrefix("TYPE"), !digits.isEmpty, digits.allSatisfy({ (0x30...0x39).contains($0) }),
            let number = UInt16(String(decoding: digits, as: UTF8.self))
        else { return nil }
        self.init(rawValue: number)
    }
}
