import Coverage
import Model
import Policy

/// Made-up hosts.
enum Hosts {
    static let trainer: UInt32 = 1001
    static let docker: UInt32 = 998

    /// A host on which nothing is open: everything that the kernel offers, one confined job, a strict policy.
    static func closed() throws -> HostFacts {
        var facts = HostFacts()
        facts.host = "train-1"
        facts.kernel = "6.12.0"
        facts.configuration = .known(.init(observesOnly: false, unidentified: "deny"))
        facts.policies = .known(try PolicySet([job()], folder: "/etc/egressd/policies"))
        facts.daemon = .status(status())
        facts.units = .known(.found(daemon: unit(), boot: unit()))
        facts.table = .known(TableFacts(isOwned: true, persists: true))
        facts.chains = .known(rooms + [seal("eth0")])
        facts.foreignRules = .known([])
        facts.features.question = .known(.queueExpression)
        facts.features.ownedTables = .known(true)
        facts.features.socketCgroup = .known(true)
        facts.features.egressHook = .known(true)
        facts.features.destroysSockets = .known(true)
        facts.features.tellsCgroups = .known(true)
        facts.features.tellsMarks = .known(true)
        facts.cgroups = .known(CgroupFacts(mountPoint: "/sys/fs/cgroup", isHybrid: false, opensById: .known(true)))
        facts.settings = .known([
            "kernel/modules_disabled": "1", "user/max_user_namespaces": "0", "kernel/unprivileged_bpf_disabled": "2",
            "net/ipv4/ip_forward": "0", "net/netfilter/nf_conntrack_max": "262144",
            "net/netfilter/nf_conntrack_count": "7",
        ])
        facts.links = .known([lo, Link(name: "eth0", kind: nil, isUp: true)])
        facts.packetSockets = .known([])
        facts.protocols = .known(["TCP", "UDP", "UNIX"])
        facts.listeners = .known([Listener(address: .v4(0x7f00_0001), port: 3128, workload: nil)])
        facts.addresses = .known([.v4(0x7f00_0001), .v4(0x0a1e_0005), .v6(1)])
        facts.processes = .known(Processes(actors: [actor()], unidentified: 40))
        facts.doors = [0: []]
        return facts
    }

    /// A unit that starts with the host.
    static func unit(_ change: (inout UnitFacts) -> Void = { _ in }) -> UnitFacts {
        var unit = UnitFacts(exists: true, isEnabled: true, hasWatchdog: true)
        change(&unit)
        return unit
    }

    static let lo = Link(name: "lo", kind: nil, isUp: true, isLoopback: true)

    static let rooms = [("identify", 3), ("inbound", 1), ("forward", 2)].map { name, hook in
        BaseChain(family: .inet, table: "egressd", name: name, hook: UInt32(hook), drops: true)
    }

    static func seal(_ device: String) -> BaseChain {
        BaseChain(family: .netdev, table: "egressd", name: "uplinks", hook: 1, device: device, drops: true)
    }

    static func status(lost: Int = 0, warnings: [String] = [], observes: Bool = false) -> DaemonStatus {
        DaemonStatus(
            version: "1.0",
            observesOnly: observes,
            unidentified: "deny",
            workloads: 1,
            eventsLost: lost,
            warnings: warnings,
        )
    }

    static func job(
        user: UInt32? = trainer,
        to targets: [Target] = [],
        ports: [PortSpec] = [.any],
        application: ApplicationProtocol = .tls,
        deny: [Target] = [],
        listen: [ListenRule] = [],
        unknown: UnknownMode = .deny,
    ) throws -> Workload {
        Workload(
            name: "job",
            cgroup: try CgroupGlob("training.slice/job.service"),
            user: user,
            allow: targets.isEmpty
                ? [] : [Rule(name: "there", targets: targets, ports: ports, application: application)],
            deny: deny.isEmpty ? [] : [Rule(name: "not there", targets: deny, ports: [.any])],
            listen: listen,
            unknown: unknown,
        )
    }

    static func actor(
        uid: UInt32 = trainer,
        groups: [UInt32] = [trainer],
        capabilities: UInt64 = 0,
        isConfined: Bool = true,
        isInNetwork: Bool? = true,
        mounts: UInt64 = 0,
        name: String = "python3",
    ) -> Actor {
        Actor(
            workload: "job",
            process: .init(
                pid: 4711,
                name: name,
                capabilities: capabilities,
                isConfined: isConfined,
                isInNetwork: isInNetwork,
                mounts: mounts,
            ),
            uid: uid,
            groups: groups,
        )
    }

    static func socket(_ path: String, _ kind: Door.Kind, mode: UInt32, group: UInt32 = docker) -> Door {
        Door(kind: kind, path: path, file: Permissions(owner: 0, group: group, mode: mode))
    }
}

extension HostFacts {
    /// The check with this identifier.
    func check(_ id: String) -> Check? { CoverageReport(self).checks.first { $0.id == id } }

    /// How the check with this identifier stands.
    func state(_ id: String) -> Check.State? { check(id)?.state }
}
