import Model
import Policy
import Testing

struct SpecialAddressTests {
    /// The registries of IANA as they are written there, and what the v6 ones leave out of 2000::/3.
    private static let registries = [
        "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "168.63.129.16/32", "169.254.0.0/16",
        "172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15",
        "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/3", "::/3", "2001::/23", "2001:db8::/32", "2002::/16",
        "3fff::/20", "4000::/2", "8000::/1",
    ]

    private func prefix(_ text: String) throws -> AddressPrefix {
        guard case .prefix(let prefix) = try Target(text) else { throw TextError("\(text) is no prefix") }
        return prefix
    }

    /// The address so far away; nil where the family ends.
    private func neighbour(_ address: IPAddress, _ isAfter: Bool) -> IPAddress? {
        let limit: UInt128 = address.isV4 ? 0xffff_ffff : .max
        guard address.bits != (isAfter ? limit : 0) else { return nil }
        let bits = isAfter ? address.bits + 1 : address.bits - 1
        return address.isV4 ? .v4(UInt32(truncatingIfNeeded: bits)) : .v6(bits)
    }

    @Test(arguments: registries)
    func edges(_ text: String) throws {
        let prefix = try prefix(text)
        #expect(SpecialAddresses.isSpecialPurpose(prefix.address))
        #expect(SpecialAddresses.isSpecialPurpose(prefix.last))
        for outside in [neighbour(prefix.address, false), neighbour(prefix.last, true)].compactMap(\.self) {
            let isSpecial = try Self.registries.contains { try self.prefix($0).contains(outside) }
            #expect(SpecialAddresses.isSpecialPurpose(outside) == isSpecial, "\(outside)")
        }
    }

    @Test(arguments: [
        "::", "::1", "::10.0.0.1", "::ffff:10.0.0.1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::1", "100::1", "2001::1",
        "2001:20::1", "2001:db8::9", "2002:a00:1::1", "3fff::1", "5f00::1", "fc00::1", "fdff::1", "fe80::1", "fec0::1",
        "ff02::1", "fd00:ec2::254", "169.254.169.254", "168.63.129.16", "255.255.255.255", "240.0.0.1", "0.0.0.0",
        "192.0.0.9",
    ])
    func special(_ text: String) throws {
        #expect(SpecialAddresses.isSpecialPurpose(try #require(IPAddress(text))))
    }

    @Test(arguments: [
        "1.1.1.1", "9.255.255.255", "11.0.0.0", "93.184.216.80", "100.63.255.255", "100.128.0.0", "168.63.129.15",
        "192.31.196.1", "192.175.48.1", "2000::", "2001:200::1", "2606:2800:220::1", "2620:4f:8000::1",
        "3ffe:ffff::1", "3fff:1000::",
    ])
    func ordinary(_ text: String) throws {
        #expect(!SpecialAddresses.isSpecialPurpose(try #require(IPAddress(text))))
    }

    @Test(arguments: [
        ("10.0.0.1", "private"), ("127.0.0.1", "loopback"), ("169.254.1.1", "link-local"), ("100.64.0.1", "shared"),
        ("169.254.169.254", "cloud metadata"), ("168.63.129.16", "cloud metadata"), ("192.0.0.1", "reserved"),
        ("203.0.113.9", "documentation"), ("240.0.0.1", "reserved"), ("255.255.255.255", "broadcast"),
        ("224.0.0.1", "multicast"), ("0.0.0.0", "this network"), ("::", "unspecified"), ("::1", "loopback"),
        ("64:ff9b::1", "NAT64"), ("fd00::1", "unique local"), ("fe80::1", "link-local"), ("ff02::1", "multicast"),
        ("fd00:ec2::254", "cloud metadata"), ("2001:db8::9", "documentation"), ("2002::1", "6to4"),
        ("5f00::1", "reserved"),
    ])
    func kinds(_ text: String, _ kind: String) throws {
        #expect(SpecialAddresses.kind(of: try #require(IPAddress(text))) == kind)
    }

    @Test func anOrdinaryAddressHasNoKind() throws {
        #expect(SpecialAddresses.kind(of: try #require(IPAddress("1.1.1.1"))) == nil)
    }

    @Test func aMappedAddressInItsSixteenBytesIsSpecialWhateverItHolds() {
        #expect(SpecialAddresses.isSpecialPurpose(.v6(0xffff_5db8_d850)))
    }
}
