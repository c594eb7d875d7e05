internal import CNetfilter
package import Coverage
package import Model
internal import Ruleset

/// Looks at the network of the calling thread's namespace and changes nothing.
package enum NetworkSurvey {
    // IFF_UP and IFF_LOOPBACK of include/uapi/linux/if.h.
    private static let isUp: UInt32 = 0x1
    private static let isLoopback: UInt32 = 0x8

    /// The network devices.
    package static func links() throws(NetfilterError) -> [Link] {
        // NETLINK_ROUTE of include/uapi/linux/netlink.h.
        let socket = try check(enf_open(0, 1 << 20), "opening a route socket")
        defer { enf_close(socket) }
        return try unsafe dump("listing network devices") { (links: UnsafeMutablePointer<[Link]>) in
            unsafe enf_links_dump(socket, links) { context, found in
                guard let name = unsafe found.pointee.name else { return }
                let link = unsafe Link(
                    name: String(cString: name),
                    kind: found.pointee.kind.map { unsafe String(cString: $0) },
                    isUp: found.pointee.flags & NetworkSurvey.isUp != 0,
                    isLoopback: found.pointee.flags & NetworkSurvey.isLoopback != 0,
                )
                unsafe context?.assumingMemoryBound(to: [Link].self).pointee.append(link)
            }
        }
    }

    /// The addresses of the network devices.
    package static func addresses() throws(NetfilterError) -> [IPAddress] {
        let socket = try check(enf_open(0, 1 << 20), "opening a route socket")
        defer { enf_close(socket) }
        return try unsafe dump("listing addresses") { (addresses: UnsafeMutablePointer<[IPAddress]>) in
            unsafe enf_addresses_dump(socket, addresses) { context, found in
                // AF_INET of include/linux/socket.h.
                let address = unsafe NetlinkAddress.read(found.pointee.bytes, isV4: found.pointee.family == 2)
                unsafe context?.assumingMemoryBound(to: [IPAddress].self).pointee.append(address)
            }
        }
    }

    /// The base chains of all tables.
    ///
    /// Needs CAP_NET_ADMIN.
    package static func chains() throws(NetfilterError) -> [BaseChain] {
        let socket = try netfilter()
        defer { enf_close(socket) }
        return try unsafe dump("listing chains") { (chains: UnsafeMutablePointer<[BaseChain]>) in
            unsafe enf_chains_dump(socket, chains) { context, found in
                guard let table = unsafe found.pointee.table, let name = unsafe found.pointee.name else { return }
                let chain = unsafe BaseChain(
                    family: BaseChain.Family(rawValue: found.pointee.family),
                    table: String(cString: table),
                    name: String(cString: name),
                    hook: found.pointee.hook,
                    device: found.pointee.device.map { unsafe String(cString: $0) },
                    drops: found.pointee.drops,
                )
                unsafe context?.assumingMemoryBound(to: [BaseChain].self).pointee.append(chain)
            }
        }
    }

    /// The table `inet egressd`; nil when there is none.
    ///
    /// Needs CAP_NET_ADMIN.
    package static func table() throws(NetfilterError) -> TableFacts? {
        let socket = try netfilter()
        defer { enf_close(socket) }
        var flags: UInt32 = 0
        // NFPROTO_INET of include/uapi/linux/netfilter.h.
        let result = unsafe enf_table_get(socket, 1, Layout.table, &flags)
        if result == -NetfilterError.notFound { return nil }
        try check(result, "looking for table inet \(Layout.table)")
        return TableFacts(isOwned: flags & Table.owner != 0, persists: flags & Table.persist != 0)
    }

    /// What rules of other tools do that concerns egressd.
    ///
    /// Needs CAP_NET_ADMIN.
    package static func foreignRules() throws(NetfilterError) -> [ForeignRule] {
        try RulesetReader().foreign().findings.map { ForeignRule(text: $0.text, reach: $0.reach) }
    }

    /// How often a list is asked for again that changed while it was told.
    private static let patience = 20
    private static let interrupted: Int32 = 4  // EINTR

    /// A list as it was at one moment.
    private static func dump<Element>(
        _ operation: String,
        _ ask: (UnsafeMutablePointer<[Element]>) -> Int32,
    ) throws(NetfilterError) -> [Element] {
        var found: [Element] = []
        var result = -interrupted
        for _ in 0..<patience where result == -interrupted {
            found = []
            result = unsafe withUnsafeMutablePointer(to: &found) { unsafe ask($0) }
        }
        try check(result, operation)
        return found
    }

    private static func netfilter() throws(NetfilterError) -> Int32 {
        try check(enf_open(12, 1 << 20), "opening a netfilter socket")
    }
}

extension SocketTable {
    /// Whether the kernel can end connections, tried on one that cannot be; nil when it says neither.
    package func canDestroy() -> Bool? {
        var nothing = enf_sock()
        nothing.endpoint.family = 2  // AF_INET
        nothing.endpoint.protocol = 6  // IPPROTO_TCP
        // INET_DIAG_NOCOOKIE
        nothing.cookie = (.max, .max)
        return switch unsafe enf_sock_destroy(socket, &nothing) {
        case -NetfilterError.notFound: true
        case -NetfilterError.notSupported: false
        default: nil
        }
    }
}
