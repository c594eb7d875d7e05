extension HostFacts {
    /// What the kernel has and lacks of what the daemon builds on.
    var kernelChecks: [Check] {
        [
            question, cgroupTree, cgroupIds, socketCgroup, ownedTables, egressHook, destroying, diagnosis, marks,
            helpers,
            connections, modules, userNamespaces, unprivilegedBPF,
        ]
    }

    private var question: Check {
        Check("kernel.queue", "handing packets to the daemon", features.question) { question in
            switch question {
            case .queueExpression: Check.Judgement(.enforced, "the nft queue expression")
            case .queueTarget: Check.Judgement(.enforced, "the NFQUEUE target; the kernel has no nft queue expression")
            case .none:
                Check.Judgement(
                    .open,
                    "neither the nft queue expression nor the NFQUEUE target",
                    "the daemon cannot start; only 'egressd boot' can deny",
                    mend:
                        "a kernel with CONFIG_NFT_QUEUE, or with CONFIG_NETFILTER_XT_TARGET_NFQUEUE and CONFIG_NFT_COMPAT",
                )
            }
        }
    }

    private var cgroupTree: Check {
        Check("kernel.cgroups", "cgroup v2", cgroups) { tree in
            let mounted = "mounted at \(tree.mountPoint)"
            guard tree.isHybrid else { return Check.Judgement(.enforced, mounted) }
            return Check.Judgement(
                .partly,
                "\(mounted), besides version 1",
                "a job that a manager tells apart in version 1 alone is unidentified",
                mend: "boot with systemd.unified_cgroup_hierarchy=1",
            )
        }
    }

    private var cgroupIds: Check {
        let opens: Known<Bool> =
            switch cgroups {
            case .known(let tree): tree.opensById
            case .unknown(let why): .unknown(why)
            }
        return Check("kernel.cgroup-ids", "a cgroup's path from its id", opens) { opens in
            opens
                ? Check.Judgement(.enforced, "open_by_handle_at works")
                : Check.Judgement(
                    .open,
                    "open_by_handle_at is refused",
                    "no process is identified; every one is treated as 'unidentified' says",
                    mend: "Linux 5.5 or later; in a container, allow open_by_handle_at and CAP_DAC_READ_SEARCH",
                )
        }
    }

    private var socketCgroup: Check {
        Check("kernel.socket-cgroup", "a packet's cgroup in the rules", features.socketCgroup) { works in
            works
                ? Check.Judgement(.enforced, "the nft expression 'socket cgroupv2'")
                : Check.Judgement(
                    .open,
                    "no nft expression 'socket cgroupv2'",
                    "the daemon cannot start",
                    mend: "Linux 5.13 or later with CONFIG_NFT_SOCKET and CONFIG_SOCK_CGROUP_DATA",
                )
        }
    }

    private var ownedTables: Check {
        Check("kernel.owned-tables", "tables that others cannot touch", features.ownedTables, bypass: 29) { works in
            works
                ? Check.Judgement(.enforced, "the table flags owner and persist")
                : Check.Judgement(
                    .partly,
                    "no table flags owner and persist",
                    lossWithoutOwner,
                    mend: "Linux 6.9 or later",
                )
        }
    }

    private var egressHook: Check {
        Check("kernel.egress", "a hook for frames without a route", features.egressHook, bypass: 17) { works in
            works
                ? Check.Judgement(.enforced, "the netdev egress hook")
                : Check.Judgement(
                    .partly,
                    "no netdev egress hook",
                    "no uplink can be sealed against packet sockets",
                    mend: "Linux 5.16 or later with CONFIG_NETFILTER_EGRESS; else no workload with CAP_NET_RAW",
                )
        }
    }

    private var destroying: Check {
        Check("kernel.destroy", "ending open connections", features.destroysSockets, bypass: 27) { works in
            works
                ? Check.Judgement(.enforced, "SOCK_DESTROY")
                : Check.Judgement(
                    .partly,
                    "no SOCK_DESTROY",
                    "a connection that is no longer allowed ends with its next packet, not at once",
                    mend: "a kernel with CONFIG_INET_DIAG_DESTROY",
                )
        }
    }

    private var diagnosis: Check {
        Check("kernel.sock-diag", "a socket's cgroup by sock_diag", features.tellsCgroups) { works in
            works
                ? Check.Judgement(.enforced, "told with each socket")
                : Check.Judgement(
                    .open,
                    "not told",
                    "who asks cannot be told, and is denied or treated as 'unidentified' says",
                    mend: "Linux 5.8 or later with CONFIG_SOCK_CGROUP_DATA",
                )
        }
    }

    private var marks: Check {
        let accepted = settings.value?["net/ipv4/tcp_fwmark_accept"] == "1" ? "; over TCP by tcp_fwmark_accept" : ""
        return Check("kernel.marks", "who asks for a name", features.tellsMarks, bypass: 10) { works in
            works
                ? Check.Judgement(.enforced, "told with each datagram (SO_RCVMARK)\(accepted)")
                : Check.Judgement(.enforced, "no SO_RCVMARK (Linux 5.19): conntrack is asked for each question")
        }
    }

    private var helpers: Check {
        Check("kernel.helpers", "connection helpers", settings, bypass: 19) { settings in
            guard settings["net/netfilter/nf_conntrack_helper"] == "1" else {
                return Check.Judgement(.enforced, "not assigned by themselves")
            }
            return Check.Judgement(
                .partly,
                "assigned to every connection by its port",
                "a peer can announce connections (FTP, SIP); the table lets none of them pass unjudged",
                mend: "sysctl net.netfilter.nf_conntrack_helper=0",
            )
        }
    }

    /// Below this many connections a busy host runs out.
    private static let connectionsWanted = 65_536

    private var connections: Check {
        Check("kernel.conntrack", "room for connections", settings, bypass: 31) { settings in
            guard let most = settings["net/netfilter/nf_conntrack_max"].flatMap({ Int($0) }),
                let now = settings["net/netfilter/nf_conntrack_count"].flatMap({ Int($0) })
            else { return Check.Judgement(.absent, "conntrack is not in use") }
            let detail = "\(now) of \(most) in use"
            guard most >= Self.connectionsWanted, now < most / 10 * 8 else {
                return Check.Judgement(
                    .partly,
                    detail,
                    "when it is full, new connections are lost, allowed ones too",
                    mend: "sysctl net.netfilter.nf_conntrack_max=\(max(Self.connectionsWanted * 4, most * 2))",
                )
            }
            return Check.Judgement(.enforced, detail)
        }
    }

    private var modules: Check {
        Check("kernel.modules", "loading of modules", settings, bypass: 36) { settings in
            switch settings["kernel/modules_disabled"] {
            case nil: Check.Judgement(.enforced, "a kernel without modules")
            case "1": Check.Judgement(.enforced, "disabled until the next boot")
            default:
                Check.Judgement(
                    .partly,
                    "possible",
                    "socket() of any user can load the module of a protocol family that the rules do not see",
                    mend:
                        "RestrictAddressFamilies= in the workloads' units, which is not seen here; this line closes with "
                        + "sysctl kernel.modules_disabled=1 after boot",
                )
            }
        }
    }

    private var userNamespaces: Check {
        Check("kernel.user-namespaces", "user namespaces without privileges", settings, bypass: 24) { settings in
            let isOff =
                settings["user/max_user_namespaces"] == "0" || settings["kernel/unprivileged_userns_clone"] == "0"
            guard !isOff else { return Check.Judgement(.enforced, "not permitted") }
            let isRestricted = settings["kernel/apparmor_restrict_unprivileged_userns"] == "1"
            return Check.Judgement(
                .partly,
                isRestricted ? "restricted by AppArmor" : "permitted",
                (isRestricted ? "programs whose profile permits it start others in one: " : "")
                    + "a workload may make network namespaces; what leaves them is judged as forwarded, or as the packets "
                    + "of the program that carries them",
                mend: "RestrictNamespaces=yes in the workloads' units, which is not seen here; this line closes with "
                    + "sysctl user.max_user_namespaces=0",
            )
        }
    }

    private var unprivilegedBPF: Check {
        Check("kernel.bpf", "BPF without privileges", settings) { settings in
            guard settings["kernel/unprivileged_bpf_disabled"] == "0" else {
                return Check.Judgement(.enforced, "not permitted")
            }
            return Check.Judgement(
                .partly,
                "permitted",
                "more of the kernel than a job needs is within its reach",
                mend: "sysctl kernel.unprivileged_bpf_disabled=1",
            )
        }
    }
}
