import Coverage
import Model
import Policy
import Testing

@Suite struct CheckTests {
    @Test func nothingIsOpenOnAClosedHost() throws {
        let report = CoverageReport(try Hosts.closed())
        let rest = report.checks.filter { ![.enforced, .absent, .residual].contains($0.state) }
        #expect(rest == [])
        #expect(report.isClosed && !report.isBlind)
        #expect(report.count(.residual) == 4)
    }

    @Test func nothingIsClaimedOfAHostThatNobodyLookedAt() {
        let report = CoverageReport(HostFacts())
        #expect(report.checks.filter { $0.state != .unknown && $0.state != .residual }.map(\.id) == [])
        #expect(report.isBlind && !report.isClosed)
    }

    /// One change to a closed host, the check that must tell of it, and how.
    struct Change: Sendable, CustomTestStringConvertible {
        let id: String
        let state: Check.State
        let make: @Sendable (inout HostFacts) throws -> Void
        var testDescription: String { "\(id) \(state)" }

        init(_ id: String, _ state: Check.State, _ make: @escaping @Sendable (inout HostFacts) throws -> Void) {
            self.id = id
            self.state = state
            self.make = make
        }
    }

    static let daemon: [Change] = [
        Change("daemon.running", .partly) { $0.daemon = .unreachable("nobody listens there") },
        Change("daemon.running", .open) {
            $0.daemon = .unreachable("nobody listens there")
            $0.table = .known(nil)
        },
        Change("daemon.running", .unknown) {
            $0.daemon = .unreachable("nobody listens there")
            $0.table = .unknown("not permitted")
        },
        Change("daemon.running", .enforced) { $0.daemon = .refused("Status is for root") },
        Change("daemon.mode", .open) { $0.daemon = .status(Hosts.status(observes: true)) },
        Change("daemon.mode", .open) {
            $0.daemon = .unreachable("nobody listens there")
            $0.configuration = .known(.init(observesOnly: true, unidentified: "deny"))
        },
        Change("daemon.record", .open) { $0.daemon = .status(Hosts.status(lost: 3)) },
        Change("daemon.record", .open) {
            $0.daemon = .status(Hosts.status(warnings: ["the record cannot be written: disk full"]))
        },
        Change("daemon.record", .unknown) { $0.daemon = .refused("Status is for root") },
        Change("daemon.table", .open) { $0.table = .known(nil) },
        Change("daemon.table", .open) { $0.chains = .known([Hosts.rooms[0], Hosts.rooms[2]]) },
        Change("daemon.table", .open) { facts in
            var rooms = Hosts.rooms
            rooms[0].drops = false
            facts.chains = .known(rooms)
        },
        Change("daemon.table", .unknown) { $0.chains = .unknown("not permitted") },
        Change("daemon.ownership", .partly) { $0.table = .known(TableFacts(isOwned: false, persists: false)) },
        Change("daemon.ownership", .open) { $0.table = .known(TableFacts(isOwned: true, persists: false)) },
        Change("daemon.boot", .open) { $0.units = .known(.absent) },
        Change("daemon.boot", .open) { $0.units = .known(.found(daemon: Hosts.unit(), boot: UnitFacts())) },
        Change("daemon.boot", .open) {
            $0.units = .known(.found(daemon: Hosts.unit { $0.isMasked = true }, boot: Hosts.unit()))
        },
        Change("daemon.boot", .open) {
            $0.units = .known(.found(daemon: Hosts.unit(), boot: Hosts.unit { $0.isEnabled = false }))
        },
        Change("daemon.boot", .open) {
            $0.configuration = .known(.init(observesOnly: true, unidentified: "deny"))
        },
        Change("daemon.boot", .partly) {
            $0.units = .known(.found(daemon: Hosts.unit { $0.hasWatchdog = false }, boot: Hosts.unit()))
        },
        Change("daemon.warnings", .partly) { $0.daemon = .status(Hosts.status(warnings: ["names: no helper"])) },
        Change("daemon.warnings", .unknown) { $0.daemon = .refused("Status is for root") },
        Change("daemon.warnings", .absent) { $0.daemon = .unreachable("nobody listens there") },
    ]

    static let kernel: [Change] = [
        Change("kernel.queue", .enforced) { $0.features.question = .known(.queueTarget) },
        Change("kernel.queue", .open) { $0.features.question = .known(.none) },
        Change("kernel.cgroups", .partly) {
            $0.cgroups = .known(
                CgroupFacts(mountPoint: "/sys/fs/cgroup/unified", isHybrid: true, opensById: .known(true))
            )
        },
        Change("kernel.cgroup-ids", .open) {
            $0.cgroups = .known(CgroupFacts(mountPoint: "/sys/fs/cgroup", isHybrid: false, opensById: .known(false)))
        },
        Change("kernel.socket-cgroup", .open) { $0.features.socketCgroup = .known(false) },
        Change("kernel.owned-tables", .partly) { $0.features.ownedTables = .known(false) },
        Change("kernel.egress", .partly) { $0.features.egressHook = .known(false) },
        Change("kernel.destroy", .partly) { $0.features.destroysSockets = .known(false) },
        Change("kernel.sock-diag", .open) { $0.features.tellsCgroups = .known(false) },
        Change("kernel.marks", .enforced) { $0.features.tellsMarks = .known(false) },
        Change("kernel.helpers", .partly) { $0.settings = .known(["net/netfilter/nf_conntrack_helper": "1"]) },
        Change("kernel.conntrack", .absent) { $0.settings = .known([:]) },
        Change("kernel.conntrack", .partly) {
            $0.settings = .known(["net/netfilter/nf_conntrack_max": "8192", "net/netfilter/nf_conntrack_count": "1"])
        },
        Change("kernel.conntrack", .partly) {
            $0.settings = .known([
                "net/netfilter/nf_conntrack_max": "65536", "net/netfilter/nf_conntrack_count": "60000",
            ])
        },
        Change("kernel.modules", .enforced) { $0.settings = .known([:]) },
        Change("kernel.modules", .partly) { $0.settings = .known(["kernel/modules_disabled": "0"]) },
        Change("kernel.user-namespaces", .partly) { $0.settings = .known(["user/max_user_namespaces": "15000"]) },
        Change("kernel.user-namespaces", .enforced) { $0.settings = .known(["kernel/unprivileged_userns_clone": "0"]) },
        Change("kernel.user-namespaces", .partly) {
            $0.settings = .known(["kernel/apparmor_restrict_unprivileged_userns": "1"])
        },
        Change("kernel.bpf", .partly) { $0.settings = .known(["kernel/unprivileged_bpf_disabled": "0"]) },
    ]

    static let path: [Change] = [
        Change("path.uplinks", .absent) { $0.links = .known([Hosts.lo]) },
        Change("path.uplinks", .partly) { $0.chains = .known(Hosts.rooms) },
        Change("path.uplinks", .open) {
            $0.chains = .known(Hosts.rooms)
            $0.processes = .known(Processes(actors: [Hosts.actor(capabilities: 1 << 13)]))
        },
        Change("path.uplinks", .open) {
            $0.chains = .known(Hosts.rooms)
            $0.processes = .known(Processes(actors: []))
        },
        Change("path.uplinks", .partly) {
            $0.links = .known([
                Link(name: "eth0", kind: nil, isUp: true), Link(name: "br0", kind: "bridge", isUp: true),
            ])
        },
        Change("path.uplinks", .enforced) {
            $0.links = .known([
                Link(name: "eth0", kind: nil, isUp: true), Link(name: "br0", kind: "bridge", isUp: false),
            ])
        },
        // Somebody else's chain there seals nothing that is known to be sealed.
        Change("path.uplinks", .partly) { facts in
            var other = Hosts.seal("eth0")
            other.table = "filter"
            facts.chains = .known(Hosts.rooms + [other])
        },
        Change("path.uplinks", .partly) { facts in
            var accepting = Hosts.seal("eth0")
            accepting.drops = false
            facts.chains = .known(Hosts.rooms + [accepting])
        },
        Change("path.xdp", .partly) { $0.protocols = .known(["XDP"]) },
        Change("path.xdp", .open) {
            $0.protocols = .known(["XDP"])
            $0.processes = .known(Processes(actors: [Hosts.actor(capabilities: 1 << 13)]))
        },
        Change("path.packet-sockets", .partly) { $0.packetSockets = .known([0]) },
        Change("path.packet-sockets", .open) { $0.packetSockets = .known([0, Hosts.trainer]) },
        Change("path.capabilities", .open) {
            $0.processes = .known(Processes(actors: [Hosts.actor(capabilities: 1 << 21)]))
        },
        // CAP_SETUID, CAP_DAC_READ_SEARCH
        Change("path.capabilities", .open) {
            $0.processes = .known(Processes(actors: [Hosts.actor(capabilities: 1 << 7)]))
        },
        Change("path.capabilities", .open) {
            $0.processes = .known(Processes(actors: [Hosts.actor(capabilities: 1 << 2)]))
        },
        // CAP_NET_BIND_SERVICE
        Change("path.capabilities", .enforced) {
            $0.processes = .known(Processes(actors: [Hosts.actor(capabilities: 1 << 10)]))
        },
        Change("path.capabilities", .absent) { $0.processes = .known(Processes(actors: [])) },
        Change("path.capabilities", .unknown) {
            $0.processes = .known(Processes(actors: [Hosts.actor()], areAll: false))
        },
        Change("path.privileges", .partly) {
            $0.processes = .known(Processes(actors: [Hosts.actor(isConfined: false)]))
        },
        Change("path.namespaces", .open) {
            $0.processes = .known(Processes(actors: [Hosts.actor(isInNetwork: false)]))
        },
        Change("path.namespaces", .unknown) {
            $0.processes = .known(Processes(actors: [Hosts.actor(isInNetwork: nil)]))
        },
        Change("path.forwarding", .enforced) { $0.settings = .known(["net/ipv4/ip_forward": "1"]) },
        Change("path.forwarding", .open) {
            $0.settings = .known(["net/ipv6/conf/all/forwarding": "1"])
            $0.daemon = .unreachable("nobody listens there")
            $0.configuration = .known(.init(observesOnly: false, unidentified: "observe"))
        },
        Change("path.forwarding", .enforced) { $0.settings = .known(["net/ipv4/conf/eth0/forwarding": "1"]) },
        Change("path.forwarding", .enforced) { $0.settings = .known(["net/ipv6/conf/eth0/force_forwarding": "1"]) },
        // One device of IPv6 makes no router, and `default` is for those to come.
        Change("path.forwarding", .absent) {
            $0.settings = .known(["net/ipv6/conf/eth0/forwarding": "1", "net/ipv4/conf/default/forwarding": "1"])
        },
        Change("path.tunnels", .partly) { $0.links = .known([Link(name: "wg0", kind: "wireguard", isUp: true)]) },
        Change("path.foreign-tables", .enforced) { facts in
            let docker = BaseChain(family: .ipv4, table: "nat", name: "OUTPUT", hook: 3)
            facts.chains = .known(Hosts.rooms + [docker])
        },
        Change("path.foreign-tables", .enforced) { facts in
            facts.chains = .known(Hosts.rooms + [BaseChain(family: .ipv4, table: "nat", name: "OUTPUT", hook: 3)])
            facts.foreignRules = .known([ForeignRule(text: "accepts before egressd", reach: .none)])
        },
        Change("path.foreign-tables", .open) {
            $0.foreignRules = .known([
                ForeignRule(text: "flowtable", reach: .outlives), ForeignRule(text: "dup", reach: .passes),
            ])
        },
        Change("path.foreign-tables", .partly) {
            $0.foreignRules = .known([ForeignRule(text: "flowtable", reach: .outlives)])
        },
        Change("path.foreign-tables", .partly) {
            $0.foreignRules = .known([ForeignRule(text: "notrack", reach: .breaks)])
        },
        Change("path.foreign-tables", .partly) { $0.legacyTables = ["iptables filter"] },
        Change("path.foreign-tables", .unknown) { $0.foreignRules = .unknown("not permitted") },
        Change("path.families", .partly) { $0.protocols = .known(["TIPC"]) },
        Change("path.rdma", .partly) { $0.rdma = ["mlx5_0"] },
        Change("path.rdma", .open) {
            $0.rdma = ["mlx5_0"]
            $0.doors = [0: [Hosts.socket("/dev/infiniband/uverbs0", .rdma, mode: 0o666)]]
        },
        Change("path.user-drivers", .enforced) {
            $0.doors = [0: [Hosts.socket("/dev/vfio/12", .userDriver, mode: 0o600)]]
        },
        Change("path.vsock", .open) { $0.protocols = .known(["AF_VSOCK"]) },
        Change("path.vsock", .open) { $0.doors = [0: [Hosts.socket("/dev/vsock", .vsock, mode: 0o600)]] },
    ]

    /// What to do about a table that nobody owns depends on why nobody does.
    @Test func theMendOfATableThatNobodyOwns() throws {
        var facts = try Hosts.closed()
        facts.table = .known(TableFacts(isOwned: false, persists: true))
        #expect(facts.check("daemon.ownership")?.mend == "systemctl restart egressd")
        facts.features.ownedTables = .known(false)
        #expect(facts.check("daemon.ownership")?.mend?.hasPrefix("Linux 6.9 or later") == true)
        facts.features.ownedTables = .known(true)
        facts.daemon = .unreachable("nobody listens there")
        #expect(facts.check("daemon.ownership")?.mend == "systemctl enable --now egressd")
        facts.configuration = .known(.init(observesOnly: false, unidentified: "deny", ownsTable: false))
        #expect(facts.check("daemon.ownership")?.mend?.contains("owner: auto") == true)
    }

    @Test func aMaskedUnitHasItsMend() throws {
        var facts = try Hosts.closed()
        facts.units = .known(.found(daemon: Hosts.unit { $0.isMasked = true }, boot: Hosts.unit()))
        let check = try #require(facts.check("daemon.boot"))
        #expect(check.detail == "egressd.service is masked")
        #expect(check.mend == "systemctl unmask egressd.service && systemctl enable egressd.service")
    }

    @Test func everyWarningOfTheDaemonIsTold() throws {
        let warnings = (1...6).map { "trouble \($0)" }
        var facts = try Hosts.closed()
        facts.daemon = .status(Hosts.status(warnings: warnings))
        #expect(facts.check("daemon.warnings")?.detail == warnings.joined(separator: "; "))
    }

    @Test func nothingIsPutBackWithoutADaemon() throws {
        var facts = try Hosts.closed()
        facts.table = .known(TableFacts(isOwned: false, persists: false))
        facts.features.ownedTables = .known(false)
        let ids = ["daemon.ownership", "kernel.owned-tables"]
        for id in ids { #expect(facts.check(id)?.consequence?.contains("is put back") == true, "\(id)") }
        facts.daemon = .refused("Status is for root")
        for id in ids { #expect(facts.check(id)?.consequence?.contains("is put back") == true, "\(id)") }
        facts.daemon = .unreachable("nobody listens there")
        for id in ids { #expect(facts.check(id)?.consequence?.contains("gone until a daemon starts") == true, "\(id)") }
        #expect(!CoverageReport(facts).text().contains("put back"))
    }

    @Test func whatACapabilityLeadsToIsTold() throws {
        var facts = try Hosts.closed()
        facts.processes = .known(Processes(actors: [Hosts.actor(capabilities: 1 << 2 | 1 << 31)]))
        #expect(
            facts.check("path.capabilities")?.consequence
                == "they make themselves root, who takes the rules away; they read files or memory of others, keys and "
                + "tokens too"
        )
    }

    @Test(arguments: daemon + kernel + path) func oneChangeIsTold(_ change: Change) throws {
        var facts = try Hosts.closed()
        try change.make(&facts)
        let check = try #require(facts.check(change.id))
        #expect(check.state == change.state, "\(check)")
        if check.state == .open || check.state == .partly {
            #expect(check.consequence != nil && check.mend != nil, "\(check)")
        }
        #expect(
            CoverageReport(facts).isClosed == !CoverageReport(facts).checks.contains { check in
                check.state == .open || check.state == .unknown
            }
        )
    }
}
