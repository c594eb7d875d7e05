import Model
import Policy
import Testing

struct ReverseNameTests {
    /// The name of an IPv6 address under `ip6.arpa`.
    private func name(of bits: UInt128) -> String {
        (0..<32).map { String(UInt8(truncatingIfNeeded: bits >> (4 * $0)) & 15, radix: 16) + "." }.joined() + "ip6.arpa"
    }

    @Test func v4() throws {
        #expect(IPAddress(reverseName: try DomainName("1.2.0.192.in-addr.arpa")) == .v4(0xc000_0201))
        #expect(IPAddress(reverseName: try DomainName("255.0.0.0.IN-ADDR.ARPA.")) == .v4(0xff))
    }

    @Test func v6() throws {
        for bits: UInt128 in [0, 1, 0x2001_0db8 << 96 | 0xabcdef, .max] {
            #expect(IPAddress(reverseName: try DomainName(name(of: bits))) == .v6(bits))
        }
    }

    @Test(arguments: [
        "2.0.192.in-addr.arpa", "0.1.2.0.192.in-addr.arpa", "01.2.0.192.in-addr.arpa", "256.2.0.192.in-addr.arpa",
        "0x1.2.0.192.in-addr.arpa", "a.2.0.192.in-addr.arpa", "in-addr.arpa", "arpa", "1.2.0.192.in-addr.example",
        "1.2.0.192.ip6.arpa", "1.2.0.192.arpa", "ip6.arpa", "x.1.2.0.192.in-addr.arpa",
        "1.2.0.192.in-addr.arpa.example",
    ])
    func otherNames(_ text: String) throws {
        #expect(IPAddress(reverseName: try DomainName(text)) == nil)
    }

    @Test func otherNibbles() throws {
        let whole = name(of: 1)
        for text in ["0.\(whole)", String(whole.dropFirst(2)), "g\(whole.dropFirst())", "01\(whole.dropFirst())"] {
            #expect(IPAddress(reverseName: try DomainName(text)) == nil, "\(text)")
        }
        #expect(IPAddress(reverseName: try DomainName(name(of: 0xffff_0a00_0001))) == nil, "v4-mapped")
    }
}
