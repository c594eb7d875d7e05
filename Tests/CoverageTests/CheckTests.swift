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
        Change("daemon.boot", .open) { $0.units = .known(.found(enabled: ["egressd.service"], hasWatchdog: true)) },
        Change("daemon.boot", .partly) { facts in
            facts.units = .known(.found(enabled: ["egressd.service", "egressd-boot.service"], hasWatchdog: false))
        },
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
        Change("path.tunnels", .partly) { $0.links = .known([Link(name: "wg0", kind: "wireguard", isUp: true)]) },
        Change("path.foreign-tables", .enforced) { facts in
            let docker = BaseChain(family: .ipv4, table: "nat", name: "OUTPUT", hook: 3)
            facts.chains = .known(Hosts.rooms + [docker])
        },
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
