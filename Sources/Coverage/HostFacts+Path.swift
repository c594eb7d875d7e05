extension HostFacts {
    /// The ways that do not lead past the rules, or only partly.
    var pathChecks: [Check] {
        [
            uplinks, directSockets, packetSocketsNow, powers, privileges, networks, forwarding, tunnels, foreignChains,
            families, rdmaCards, userDrivers, hypervisor,
        ]
    }

    private var uplinks: Check {
        let (id, title) = ("path.uplinks", "packet sockets on uplinks")
        guard case .known(let links) = links, case .known(let chains) = chains else {
            return Check(id, title, .unknown, self.links.reason ?? self.chains.reason ?? "", bypass: 17)
        }
        let uplinks = links.filter { $0.isUp && !$0.isLoopback }
        guard !uplinks.isEmpty else { return Check(id, title, .absent, "no device but lo is up", bypass: 17) }
        let seals = chains.filter { $0.isEgress && $0.drops && $0.table.hasPrefix(Self.ownTable) }
        let sealed = Set(seals.compactMap(\.device))
        let open = uplinks.filter { !sealed.contains($0.name) }.sorted { $0.name < $1.name }
        guard !open.isEmpty else {
            let names = Wording.list(uplinks.map(\.name).sorted())
            return Check(id, title, .enforced, "\(names): frames without a route are dropped", bypass: 17)
        }
        let names = Wording.list(open.map { "\($0.name) (\($0.kind ?? "hardware"))" })
        let isReached = mayOpenPacketSocket ?? true
        let why = isReached ? "" : "; no process of a workload has CAP_NET_RAW now"
        return Check(
            id,
            title,
            isReached ? .open : .partly,
            "\(names): not sealed\(why)",
            consequence: "whoever has CAP_NET_RAW sends frames that no rule sees",
            mend: "take CAP_NET_RAW from workloads: CapabilityBoundingSet= and NoNewPrivileges=yes in their units",
            bypass: 17,
        )
    }

    private var directSockets: Check {
        Check("path.xdp", "sockets of network drivers (AF_XDP)", protocols, bypass: 36) { protocols in
            guard protocols.contains("XDP") else { return Check.Judgement(.absent, "the kernel has none") }
            let isReached = mayOpenPacketSocket == true
            return Check.Judgement(
                isReached ? .open : .partly,
                isReached ? "the kernel has them, and a workload has CAP_NET_RAW" : "the kernel has them",
                "whoever has CAP_NET_RAW hands frames to the driver; sealing an uplink does not stop them",
                mend: "RestrictAddressFamilies= without AF_XDP, which is not seen here, and no CAP_NET_RAW, in the "
                    + "workloads' units; this line closes with a kernel without CONFIG_XDP_SOCKETS",
            )
        }
    }

    /// Whether a running process of a workload has what a packet socket takes; nil when none could be looked at.
    private var mayOpenPacketSocket: Bool? {
        guard let processes = processes.value, processes.areAll, !runningActors.isEmpty else { return nil }
        return runningActors.contains { actor in
            actor.powers.contains { $0.name == "CAP_NET_RAW" || $0.name == "CAP_SYS_ADMIN" }
        }
    }

    var runningActors: [Actor] { actors.filter { $0.process != nil } }

    private var packetSocketsNow: Check {
        Check("path.packet-sockets", "packet sockets that are open now", packetSockets, bypass: 17) { owners in
            guard !owners.isEmpty else { return Check.Judgement(.absent, "none") }
            let users = Set(owners).sorted().map { "uid \($0)" }
            let suspects = Set(owners).intersection(actors.compactMap(\.uid))
            return Check.Judgement(
                suspects.isEmpty || suspects == [0] ? .partly : .open,
                "\(Wording.count(owners.count, "socket")) of \(Wording.list(users))",
                "what is sent through them meets no rule; DHCP clients, LLDP and captures need them",
                mend: "ss -0 -p shows the programs",
            )
        }
    }

    private var forwarding: Check {
        Check("path.forwarding", "forwarded packets", settings, bypass: 25) { settings in
            guard let place = Self.forwards(settings) else {
                return Check.Judgement(.absent, "this host forwards nothing")
            }
            let bridges = (links.value ?? []).filter { $0.kind == "bridge" && $0.isUp }.map(\.name).sorted()
            let elsewhere = processes.value.map {
                "\(Wording.count($0.elsewhere, "process", "processes")) of no workload in other network namespaces"
            }
            let devices = bridges.isEmpty ? "" : ", bridges \(Wording.list(bridges))"
            let found = [place + devices, elsewhere].compactMap(\.self)
            let detail = found.joined(separator: "; ")
            switch unidentified {
            case "deny": return Check.Judgement(.enforced, "\(detail): denied")
            case nil: return Check.Judgement(.unknown, "\(detail); what 'unidentified' says is not known")
            case let setting?:
                return Check.Judgement(
                    .open,
                    detail,
                    "containers and machines behind this host go where they want: 'unidentified: \(setting)'",
                    mend: "set 'unidentified: deny', or switch forwarding off",
                )
            }
        }
    }

    /// For all devices, or what arrives on some (the switch of IPv6 for one device is `force_forwarding`); nil when nothing is.
    private static func forwards(_ settings: [String: String]) -> String? {
        if settings["net/ipv4/ip_forward"] == "1" || settings["net/ipv6/conf/all/forwarding"] == "1" { return "on" }
        let devices = settings.filter { $0.value == "1" }.keys.compactMap { name -> String? in
            let parts = name.split(separator: "/")
            guard parts.count == 5, parts[2] == "conf", !["all", "default"].contains(parts[3]) else { return nil }
            let wanted = parts[1] == "ipv4" ? "forwarding" : "force_forwarding"
            return parts[4] == wanted ? String(parts[3]) : nil
        }
        return devices.isEmpty ? nil : "on for \(Wording.list(Set(devices).sorted()))"
    }

    private static let tunnelKinds: Set<String> = [
        "wireguard", "ipip", "ip6tnl", "sit", "gre", "gretap", "ip6gre", "ip6gretap", "vti", "vti6", "vxlan", "geneve",
        "gtp", "tun", "ovpn", "xfrm", "l2tp", "bareudp", "fou",
    ]

    private var tunnels: Check {
        Check("path.tunnels", "tunnels", links, bypass: 16) { links in
            let tunnels = links.filter { $0.isUp && $0.kind.map(Self.tunnelKinds.contains) == true }
            guard !tunnels.isEmpty else { return Check.Judgement(.absent, "no tunnel device is up") }
            return Check.Judgement(
                .partly,
                Wording.list(tunnels.map { "\($0.name) (\($0.kind ?? ""))" }.sorted()),
                "what goes in is judged by where it is going; the tunnel's own packets are the kernel's, and pass",
                mend: "take away tunnels that no policy needs",
            )
        }
    }

    private var foreignChains: Check {
        let (id, title) = ("path.foreign-tables", "rules of others")
        guard case .known(let chains) = chains, case .known(let rules) = foreignRules else {
            return Check(id, title, .unknown, self.chains.reason ?? foreignRules.reason ?? "", bypass: 29)
        }
        let passing = rules.filter { $0.reach == .passes }
        let limited = rules.filter { $0.reach == .breaks || $0.reach == .outlives }
        guard passing.isEmpty, limited.isEmpty else {
            return Check(
                id,
                title,
                passing.isEmpty ? .partly : .open,
                (passing + limited).map(\.text).joined(separator: "; "),
                consequence: Self.consequence(of: Set(rules.map(\.reach))),
                mend: "remove these rules ('nft -a list ruleset'), or keep them away from what workloads send",
                bypass: 29,
            )
        }
        let foreign = chains.filter { $0.seesPackets && !$0.table.hasPrefix(Self.ownTable) }
        let tables = Set(foreign.map { "\($0.family.map(\.name) ?? "?") \($0.table)" }).sorted()
        let count = Wording.count(foreign.count, "chain")
        let detail = "\(count) of \(Wording.list(tables)): what they accept is still judged here"
        guard legacyTables.isEmpty else {
            let legacy = "of x_tables: \(Wording.list(legacyTables))"
            return Check(
                id,
                title,
                .partly,
                foreign.isEmpty ? legacy : "\(legacy); \(detail)",
                consequence: "their rules are not read: a mark, a queue or a copy (CONNMARK, NFQUEUE, TEE) is not seen",
                mend: "use iptables-nft, or unload the tables of iptables-legacy",
                bypass: 29,
            )
        }
        guard !foreign.isEmpty else {
            return Check(id, title, .absent, "no other nftables chain is hooked", bypass: 29)
        }
        return Check(id, title, .enforced, detail, bypass: 29)
    }

    private static func consequence(of reaches: Set<ForeignRule.Reach>) -> String {
        [
            (ForeignRule.Reach.passes, "packets pass that no rule here has judged"),
            (.outlives, "what was allowed once passes on after a revocation"),
            (.breaks, "allowed connections are lost"),
        ].filter { reaches.contains($0.0) }.map(\.1).joined(separator: "; ")
    }

    private static let families: [(protocols: Set<String>, name: String)] = [
        (["TIPC"], "TIPC"), (["RDS"], "RDS"), (["SMC", "SMC6"], "SMC"), (["CAN", "CAN_RAW"], "CAN"),
        (["QIPCRTR"], "QIPCRTR"), (["PHONET"], "Phonet"), (["X25"], "X.25"), (["NFC"], "NFC"),
        (["BT_SOCK", "HCI"], "Bluetooth"),
    ]

    private var families: Check {
        Check("path.families", "other protocol families", protocols, bypass: 36) { protocols in
            let loaded = Self.families.filter { !$0.protocols.isDisjoint(with: protocols) }.map(\.name)
            guard !loaded.isEmpty else { return Check.Judgement(.absent, "none is loaded") }
            return Check.Judgement(
                .partly,
                "loaded: \(Wording.list(loaded))",
                "their packets are no packets of this path, and often any user may open their sockets",
                mend: "RestrictAddressFamilies=AF_UNIX AF_NETLINK AF_INET AF_INET6 in the workloads' units, which is "
                    + "not seen here; this line closes when their modules are blacklisted",
            )
        }
    }

    private var rdmaCards: Check {
        let (id, title) = ("path.rdma", "RDMA")
        let check = doorCheck(
            id,
            title,
            .rdma,
            bypass: 36,
            consequence: "whoever opens it sends past the kernel, and past every rule",
            mend: "PrivateDevices=yes or DeviceAllow= in the workloads' units; or policy in the fabric (partitions)",
        )
        guard check.state == .absent, !rdma.isEmpty else { return check }
        return Check(
            id,
            title,
            .partly,
            "\(Wording.list(rdma)), without a device file",
            consequence: "loading ib_uverbs would open it",
            mend: "blacklist ib_uverbs where no job needs it",
            bypass: 36,
        )
    }

    private var userDrivers: Check {
        doorCheck(
            "path.user-drivers",
            "drivers in user space",
            .userDriver,
            bypass: 36,
            consequence: "whoever opens it drives a network card without the kernel (DPDK)",
            mend: "DeviceAllow= in the workloads' units, and no bound device that they do not need",
        )
    }

    private var hypervisor: Check {
        let (id, title) = ("path.vsock", "vsock")
        let files = doors.values.joined().filter { $0.kind == .vsock }.map(\.path)
        let isLoaded = protocols.value.map { $0.contains("AF_VSOCK") || $0.contains("VSOCK") }
        guard isLoaded == true || !files.isEmpty else {
            guard let why = protocols.reason else { return Check(id, title, .absent, "not loaded", bypass: 36) }
            return Check(id, title, .unknown, why, bypass: 36)
        }
        return Check(
            id,
            title,
            .open,
            (Set(files).sorted() + (isLoaded == true ? ["the family is loaded"] : [])).joined(separator: ", "),
            consequence: "socket(AF_VSOCK) wants no permission: any process talks to the hypervisor, or to guests",
            mend: "RestrictAddressFamilies= without AF_VSOCK in the workloads' units, which is not seen here; this "
                + "line closes when the vsock modules are blacklisted",
            bypass: 36,
        )
    }
}
