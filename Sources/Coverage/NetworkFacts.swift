package import Model

/// A network device.
package struct Link: Hashable, Sendable {
    package var name: String
    /// As rtnetlink calls it (`veth`, `bridge`); nil for hardware.
    package var kind: String?
    package var isUp: Bool
    package var isLoopback: Bool
    /// A port of a bridge or a bond.
    package var isPort: Bool

    package init(name: String, kind: String?, isUp: Bool, isLoopback: Bool = false, isPort: Bool = false) {
        self.name = name
        self.kind = kind
        self.isUp = isUp
        self.isLoopback = isLoopback
        self.isPort = isPort
    }
}

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
    }

    package var family: Family?
    package var table: String
    package var name: String
    /// The hook's number in its family.
    package var hook: UInt32
    package var priority: Int32
    /// Of the netdev family.
    package var device: String?
    /// Whether its policy is drop.
    package var drops: Bool

    package init(
        family: Family?,
        table: String,
        name: String,
        hook: UInt32,
        priority: Int32 = 0,
        device: String? = nil,
        drops: Bool = false,
    ) {
        self.family = family
        self.table = table
        self.name = name
        self.hook = hook
        self.priority = priority
        self.device = device
        self.drops = drops
    }

    /// Whether it seals a device: netdev family, hook egress.
    var isEgress: Bool { family == .netdev && hook == 1 }
    /// Whether it sees routed IP packets.
    var seesPackets: Bool { [.inet, .ipv4, .ipv6].contains(family) }
}

/// A socket that listens for TCP connections.
package struct Listener: Hashable, Sendable {
    package var address: IPAddress
    package var port: UInt16
    /// The workload in whose cgroup it was made; nil: no workload's.
    package var workload: String?

    package init(address: IPAddress, port: UInt16, workload: String?) {
        self.address = address
        self.port = port
        self.workload = workload
    }
}
