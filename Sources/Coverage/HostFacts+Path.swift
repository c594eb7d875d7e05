extension HostFacts {
    /// The ways that do not lead past the rules, or only partly.
    var pathChecks: [Check] {
        [
            uplinks, packetSocketsNow, powers, privileges, networks, forwarding, tunnels, foreignChains, families, rdmaCards,
            userDrivers, hypervisor,
        ]
    }

    private var uplinks: Check {
        let (id, title) = ("path.uplinks", "packet sockets on uplinks")
        guard case .known(let links) = links, case .known(let chains) = chains else {
            return Check(id, title, .unknown, self.links.reason ?? self.chains.reason ?? "", bypass: 17)
        }
        let uplinks = links.filter { $0.isUp && !$0.isLoopback }
        guard !uplinks.isEmpty else { return Check(id, title, .absent, "no device but lo is up", bypass: 17) }
        let sealed = Set(
            chains.filter { $0.isEgress && $0.table.hasPrefix(Self.ownTable) }.compactMap(\.device),
        )
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
            consequence: "whoever has CAP_NET_RAW sends frames (AF_PACKET, AF_XDP) that no rule sees",
            mend: "take CAP_NET_RAW from workloads: CapabilityBoundingSet= and NoNewPrivileges=yes in their units",
            bypass: 17,
        )
    }

    /// Whether a running process of a workload has what a packet socket takes; nil when none could be looked at.
    private var mayOpenPacketSocket: Bool? {
        guard let processes = processes.value, processes.areAll, runningActors.count > 0 else { return nil }
        return runningActors.contains { !Set($0.powers).isDisjoint(with: ["CAP_NET_RAW", "CAP_SYS_ADMIN"]) }
    }

    private var runningActors: [Actor] { actors.filter { $0.process != nil } }

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

    private var powers: Check {
        let (id, title) = ("path.capabilities", "capabilities of workloads' processes")
        return actorCheck(id, title, bypass: 22) { actors in
            let strong = actors.filter { !$0.powers.isEmpty }
            guard !strong.isEmpty else {
                let count = Wording.count(actors.count, "process", "processes")
                return Check.Judgement(.enforced, "none of \(count) has one that reaches around the rules")
            }
            let list = strong.map { "\($0.text): \(Wording.list($0.powers, limit: 3))" }
            return Check.Judgement(
                .open,
                Wording.list(list),
                "they can send past the rules, look into other processes, or take the rules away",
                mend: "CapabilityBoundingSet= and NoNewPrivileges=yes in the workloads' units",
            )
        }
    }

    private var privileges: Check {
        actorCheck("path.privileges", "gaining privileges", bypass: 22) { actors in
            let loose = actors.filter { $0.process?.isConfined == false }
            guard !loose.isEmpty else { return Check.Judgement(.enforced, "NoNewPrivileges for every process") }
            return Check.Judgement(
                .partly,
                "\(Wording.list(loose.map(\.text))): no NoNewPrivileges",
                "setuid programs and file capabilities (sudo, ping) work for them; sudoers is not read",
                mend: "NoNewPrivileges=yes in the workloads' units",
            )
        }
    }

    private var networks: Check {
        actorCheck("path.namespaces", "network namespaces of workloads", bypass: 24) { actors in
            let elsewhere = actors.filter { $0.process?.isInNetwork == false }
            let untold = actors.filter { $0.process?.isInNetwork == nil }
            guard elsewhere.isEmpty else {
                return Check.Judgement(
                    .open,
                    "\(Wording.list(elsewhere.map(\.text))) in another network namespace",
                    "the table of this one does not see their packets, unless they are forwarded through it: then as "
                        + "'unidentified' says",
                    mend: "no PrivateNetwork=, no containers for workloads; or run egressd in that namespace",
                )
            }
            guard untold.isEmpty else {
                return Check.Judgement(.unknown, "\(Wording.list(untold.map(\.text))): not permitted to look")
            }
            return Check.Judgement(.enforced, "every process of a workload is in this one")
        }
    }

    /// A check of the running processes of workloads.
    private func actorCheck(
        _ id: String,
        _ title: String,
        bypass: Int,
        _ judge: ([Actor]) -> Check.Judgement,
    ) -> Check {
        Check(id, title, processes, bypass: bypass) { processes in
            let actors = processes.actors.filter { $0.process != nil }
            guard !actors.isEmpty else { return Check.Judgement(.absent, "no process of a workload runs now") }
            let judgement = judge(actors)
            guard processes.areAll || judgement.state == .open else {
                return Check.Judgement(.unknown, "some processes may not be looked at: run as root")
            }
            return judgement
        }
    }

    private var forwarding: Check {
        Check("path.forwarding", "forwarded packets", settings, bypass: 25) { settings in
            guard settings["net/ipv4/ip_forward"] == "1" || settings["net/ipv6/conf/all/forwarding"] == "1" else {
                return Check.Judgement(.absent, "this host forwards nothing")
            }
            let bridges = (links.value ?? []).filter { $0.kind == "bridge" && $0.isUp }.map(\.name).sorted()
            let elsewhere = processes.value.map {
                "\(Wording.count($0.elsewhere, "process", "processes")) of no workload in other network namespaces"
            }
            let found = [bridges.isEmpty ? "on" : "on, bridges \(Wording.list(bridges))", elsewhere].compactMap(\.self)
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

    private static let tunnelKinds: Set<String> = [
        "wireguard", "ipip", "ip6tnl", "sit", "gre", "gretap", "ip6gre", "ip6gretap", "vti", "vti6", "vxlan", "geneve", "gtp",
        "tun", "ovpn", "xfrm", "l2tp", "bareudp", "fou",
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
        Check("path.foreign-tables", "rules of others", chains, bypass: 29) { chains in
            let foreign = chains.filter { $0.seesPackets && !$0.table.hasPrefix(Self.ownTable) }
            guard !foreign.isEmpty else { return Check.Judgement(.absent, "no other nftables chain is hooked") }
            let tables = Set(foreign.map { "\($0.family.map { "\($0)" } ?? "?") \($0.table)" }).sorted()
            return Check.Judgement(
                .enforced,
                "\(Wording.count(foreign.count, "chain")) of \(Wording.list(tables)): what they accept is still judged here",
            )
        }
    }

    private static let families: [(protocols: Set<String>, name: String)] = [
        (["TIPC"], "TIPC"), (["RDS"], "RDS"), (["SMC", "SMC6"], "SMC"), (["XDP"], "XDP"), (["CAN", "CAN_RAW"], "CAN"),
        (["QIPCRTR"], "QIPCRTR"), (["PHONET"], "Phonet"), (["X25"], "X.25"), (["NFC"], "NFC"), (["BT_SOCK", "HCI"], "Bluetooth"),
    ]

    private var families: Check {
        Check("path.families", "other protocol families", protocols, bypass: 36) { protocols in
            let loaded = Self.families.filter { !$0.protocols.isDisjoint(with: protocols) }.map(\.name)
            guard !loaded.isEmpty else { return Check.Judgement(.absent, "none is loaded") }
            return Check.Judgement(
                .partly,
                "loaded: \(Wording.list(loaded))",
                "their packets are no IP packets of this path; XDP needs CAP_NET_RAW, the others often nothing",
                mend: "RestrictAddressFamilies=AF_UNIX AF_NETLINK AF_INET AF_INET6 in the workloads' units",
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
            mend: "RestrictAddressFamilies= without AF_VSOCK in the workloads' units, or blacklist the vsock modules",
            bypass: 36,
        )
    }
}
