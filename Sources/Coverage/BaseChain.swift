/// A base chain of any nftables table.
package struct BaseChain: Hashable, Sendable {
    /// NFPROTO_* of include/uapi/linux/netfilter.h.
    package enum Family: UInt8, Sendable {
        case inet = 1
        case ipv4 = 2
        case arp = 3
        case netdev = 5
        case bridge = 7
        case ipv6 = 10

        /// As nft writes it.
        var name: String {
            switch self {
            case .ipv4: "ip"
            case .ipv6: "ip6"
            default: "\(self)"
            }
        }
    }

    package var family: Family?
    package var table: String
    package var name: String
    /// The hook's number in its family.
    package var hook: UInt32
    /// Of the netdev family.
    package var device: String?
    /// Whether its policy is drop.
    package var drops: Bool

    package init(
        family: Family?,
        table: String,
        name: String,
        hook: UInt32,
        device: String? = nil,
        drops: Bool = false,
    ) {
        self.family = family
        self.table = table
        self.name = name
        self.hook = hook
        self.device = device
        self.drops = drops
    }

    /// Whether it sees the frames that a device sends: netdev family, hook egress.
    var isEgress: Bool { family == .netdev && hook == 1 }
    /// Whether it sees routed IP packets.
    var seesPackets: Bool { [.inet, .ipv4, .ipv6].contains(family) }
}
