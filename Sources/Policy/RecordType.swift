package import Model

/// The DNS record types that a rule may list, by mnemonic (IANA registry "Resource Record (RR) TYPEs").
///
/// A type has one text: its mnemonic where it has one here, else `TYPE` and its number (RFC 3597 §5).
package enum RecordType {
    /// Those that may be asked wherever the name may: they need no entry in `types`.
    package static let unlisted: Set<String> = ["A", "AAAA", "CNAME", "HTTPS", "PTR", "SRV", "SVCB"]

    /// Those whose names begin with labels of a service: `_port._proto.name`.
    static let ofServices: Set<String> = ["HTTPS", "SRV", "SVCB", "TLSA", "URI"]

    private static let mnemonics: [UInt16: String] = [
        1: "A", 2: "NS", 5: "CNAME", 6: "SOA", 10: "NULL", 12: "PTR", 13: "HINFO", 15: "MX", 16: "TXT", 17: "RP",
        18: "AFSDB", 28: "AAAA", 29: "LOC", 33: "SRV", 35: "NAPTR", 37: "CERT", 39: "DNAME", 41: "OPT", 43: "DS",
        44: "SSHFP", 46: "RRSIG", 47: "NSEC", 48: "DNSKEY", 50: "NSEC3", 52: "TLSA", 64: "SVCB", 65: "HTTPS",
        250: "TSIG", 251: "IXFR", 252: "AXFR", 255: "ANY", 256: "URI", 257: "CAA",
    ]

    /// Reads a mnemonic or `TYPE` with a decimal number, in any case.
    ///
    /// Refused are what is no type of records (RFC 6895 §3.1), what hands out whole zones, and NULL, which carries any
    /// bytes and serves no program.
    package static func read(_ text: String) throws(TextError) -> String {
        let quoted = TextError.quote(text)
        guard let number = number(text) else {
            throw TextError("unknown type \(quoted); write a mnemonic like TXT, or TYPE and its number like TYPE65280")
        }
        switch number {
        case 10: throw TextError("type \(quoted) would be a way out for whatever bytes; remove it")
        case 251, 252: throw TextError("type \(quoted) would hand out whole zones; remove it")
        case 255: throw TextError("type \(quoted) is no record type; write each one that is needed, like TXT")
        case 0, 41, 128...254, .max: throw TextError("type \(quoted) is no record type; remove it")
        default: return mnemonics[number] ?? "TYPE\(number)"
        }
    }

    private static func number(_ text: String) -> UInt16? {
        // Upper case beyond ASCII makes other texts equal to these.
        guard text.utf8.count <= 16, text.utf8.allSatisfy({ $0 < 0x80 }) else { return nil }
        let upper = text.uppercased()
        if let known = mnemonics.first(where: { $0.value == upper }) { return known.key }
        let digits = upper.utf8.dropFirst(4)
        guard upper.utf8.starts(with: "TYPE".utf8), (1...5).contains(digits.count),
            digits.allSatisfy({ (0x30...0x39).contains($0) })
        else { return nil }
        return UInt16(String(decoding: digits, as: UTF8.self))
    }
}
