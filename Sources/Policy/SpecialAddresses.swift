package import Model

/// Addresses that no rule opens by covering them: only by naming exactly one of them.
package enum SpecialAddresses {
    /// The metadata services of the clouds: 169.254.169.254, fd00:ec2::254 and 168.63.129.16.
    package static let metadata: [IPAddress] = [
        .v4(0xa9fe_a9fe),
        .v4(0xa83f_8110),
        .v6(0xfd00_0ec2_0000_0000_0000_0000_0000_0254),
    ]

    /// Whether the address is one that no name of the public internet has a reason to answer with.
    ///
    /// The special-purpose registries of RFC 6890 (IANA "IPv4/IPv6 Special-Purpose Address Registry") whether or not they
    /// say "globally reachable", multicast, what is reserved, and the metadata services. Not those of AS112 and AMT,
    /// which are services of the public internet.
    package static func isSpecialPurpose(_ address: IPAddress) -> Bool {
        switch address {
        case .v4(let value): isCovered(value, by: v4)
        case .v6(let value): isCovered(value, by: v6)
        }
    }

    /// What such an address is for, in few words; nil for any other.
    package static func kind(of address: IPAddress) -> String? {
        guard isSpecialPurpose(address) else { return nil }
        if metadata.contains(address) { return "cloud metadata" }
        let kinds = address.isV4 ? v4Kinds : v6Kinds
        return kinds.first { $0.prefix.contains(address) }?.kind ?? "reserved"
    }

    private static let v4Kinds = kinds([
        ("0.0.0.0/8", "this network"), ("10.0.0.0/8", "private"), ("100.64.0.0/10", "shared"),
        ("127.0.0.0/8", "loopback"), ("169.254.0.0/16", "link-local"), ("172.16.0.0/12", "private"),
        ("192.0.2.0/24", "documentation"), ("192.88.99.0/24", "6to4"), ("192.168.0.0/16", "private"),
        ("198.18.0.0/15", "benchmarking"), ("198.51.100.0/24", "documentation"), ("203.0.113.0/24", "documentation"),
        ("255.255.255.255/32", "broadcast"), ("224.0.0.0/4", "multicast"),
    ])

    private static let v6Kinds = kinds([
        ("::/128", "unspecified"), ("::1/128", "loopback"), ("64:ff9b::/96", "NAT64"), ("64:ff9b:1::/48", "NAT64"),
        ("100::/64", "discard"), ("2001::/32", "Teredo"), ("2001:db8::/32", "documentation"), ("2002::/16", "6to4"),
        ("3fff::/20", "documentation"), ("fc00::/7", "unique local"), ("fe80::/10", "link-local"),
        ("fec0::/10", "site-local"), ("ff00::/8", "multicast"),
    ])

    private static func kinds(_ texts: [(String, String)]) -> [(prefix: AddressPrefix, kind: String)] {
        texts.compactMap { text, kind in (try? AddressPrefix(policy: text)).map { ($0, kind) } }
    }

    /// Ranges in ascending order that do not overlap, in host byte order.
    private static let v4: [ClosedRange<UInt32>] = [
        0x0000_0000...0x00ff_ffff,  // 0.0.0.0/8 "this network", RFC 791
        0x0a00_0000...0x0aff_ffff,  // 10.0.0.0/8 private use, RFC 1918
        0x6440_0000...0x647f_ffff,  // 100.64.0.0/10 shared address space, RFC 6598
        0x7f00_0000...0x7fff_ffff,  // 127.0.0.0/8 loopback, RFC 1122
        0xa83f_8110...0xa83f_8110,  // 168.63.129.16 metadata
        0xa9fe_0000...0xa9fe_ffff,  // 169.254.0.0/16 link-local, RFC 3927
        0xac10_0000...0xac1f_ffff,  // 172.16.0.0/12 private use, RFC 1918
        0xc000_0000...0xc000_00ff,  // 192.0.0.0/24 protocol assignments, RFC 6890
        0xc000_0200...0xc000_02ff,  // 192.0.2.0/24 documentation, RFC 5737
        0xc058_6300...0xc058_63ff,  // 192.88.99.0/24 6to4 relay anycast, RFC 7526
        0xc0a8_0000...0xc0a8_ffff,  // 192.168.0.0/16 private use, RFC 1918
        0xc612_0000...0xc613_ffff,  // 198.18.0.0/15 benchmarking, RFC 2544
        0xc633_6400...0xc633_64ff,  // 198.51.100.0/24 documentation, RFC 5737
        0xcb00_7100...0xcb00_71ff,  // 203.0.113.0/24 documentation, RFC 5737
        0xe000_0000...0xffff_ffff,  // 224.0.0.0/4 multicast, RFC 5771; 240.0.0.0/4 reserved, RFC 1112; broadcast
    ]

    /// Everything outside 2000::/3, from which alone addresses are handed out (IANA "IPv6 Global Unicast Address
    /// Assignments"), and the special parts of it.
    ///
    /// Outside are ::/96 (unspecified, loopback, v4-compatible), ::ffff:0:0/96 (v4-mapped), 64:ff9b::/96 and
    /// 64:ff9b:1::/48 (NAT64), 100::/64 (discard), 5f00::/16 (SRv6), fc00::/7 (ULA), fe80::/10 (link-local), fec0::/10
    /// (site-local) and ff00::/8 (multicast).
    private static let v6: [ClosedRange<UInt128>] = [
        0...top(0x1fff_ffff_ffff_ffff),  // ::/3
        bottom(0x2001_0000_0000_0000)...top(0x2001_01ff_ffff_ffff),  // 2001::/23 Teredo, ORCHID…, RFC 2928
        bottom(0x2001_0db8_0000_0000)...top(0x2001_0db8_ffff_ffff),  // 2001:db8::/32 documentation, RFC 3849
        bottom(0x2002_0000_0000_0000)...top(0x2002_ffff_ffff_ffff),  // 2002::/16 6to4, RFC 3056
        bottom(0x3fff_0000_0000_0000)...top(0x3fff_0fff_ffff_ffff),  // 3fff::/20 documentation, RFC 9637
        bottom(0x4000_0000_0000_0000)...(.max),  // 4000::/2, 8000::/1
    ]

    /// The first address whose upper half this is.
    private static func bottom(_ half: UInt64) -> UInt128 { UInt128(half) << 64 }

    /// The last address whose upper half this is.
    private static func top(_ half: UInt64) -> UInt128 { UInt128(half) << 64 | UInt128(UInt64.max) }

    private static func isCovered<Value>(_ value: Value, by ranges: [ClosedRange<Value>]) -> Bool {
        for range in ranges where value <= range.upperBound { return range.lowerBound <= value }
        return false
    }
}

extension Workload {
    /// The special addresses that no allow rule of the workload names exactly: denied whatever else covers them.
    package var deniedSpecialAddresses: [IPAddress] {
        SpecialAddresses.metadata.filter { address in !allow.contains { $0.names(exactly: address) } }
    }
}
