package import Model
package import Policy

/// What was found on a host: everything that the report is made from.
package struct HostFacts: Sendable {
    /// The host's name.
    package var host = ""
    /// The kernel's release.
    package var kernel = ""
    package var configuration: Known<Configuration> = .unknown("not read")
    package var policies: Known<PolicySet> = .unknown("not read")
    package var daemon = Answer.unreachable("not asked")
    package var units: Known<Units> = .unknown("not looked at")
    /// Of the network namespace that the report is about; nil inside when there is none.
    package var table: Known<TableFacts?> = .unknown("not looked at")
    package var chains: Known<[BaseChain]> = .unknown("not looked at")
    /// What rules of other tools do that concerns egressd.
    package var foreignRules: Known<[ForeignRule]> = .unknown("not looked at")
    /// The tables of x_tables (iptables-legacy), whose rules are not read.
    package var legacyTables: [String] = []
    package var features = KernelFeatures()
    package var cgroups: Known<CgroupFacts> = .unknown("not looked at")
    /// By path below `/proc/sys`; what the kernel does not have is left out.
    package var settings: Known<[String: String]> = .unknown("not looked at")
    package var links: Known<[Link]> = .unknown("not looked at")
    /// The owners of the packet sockets that are open.
    package var packetSockets: Known<[UInt32]> = .unknown("not looked at")
    /// The names in /proc/net/protocols.
    package var protocols: Known<Set<String>> = .unknown("not looked at")
    package var listeners: Known<[Listener]> = .unknown("not looked at")
    /// The addresses of all devices.
    package var addresses: Known<[IPAddress]> = .unknown("not looked at")
    package var processes: Known<Processes> = .unknown("not looked at")
    /// The names of RDMA devices.
    package var rdma: [String] = []
    /// The doors and devices that exist, by the mount namespace in which they were looked at; 0 is the host's.
    package var doors: [UInt64: [Door]] = [:]
    /// Groups whose members can do more than other users, by number.
    package var privilegedGroups: [UInt32: PrivilegedGroup] = [:]

    /// The name of the table, which everything of ours in nftables bears.
    static let ownTable = "egressd"

    package init() {}

    /// What the host's configuration says.
    package struct Configuration: Hashable, Sendable {
        package var observesOnly: Bool
        /// allow, observe or deny.
        package var unidentified: String
        /// Whether the daemon is to own its table where the kernel can (`owner: auto`).
        package var ownsTable: Bool

        package init(observesOnly: Bool, unidentified: String, ownsTable: Bool = true) {
            self.observesOnly = observesOnly
            self.unidentified = unidentified
            self.ownsTable = ownsTable
        }
    }

    /// What the daemon answered on the control socket.
    package enum Answer: Hashable, Sendable {
        case status(DaemonStatus)
        case refused(String)
        case unreachable(String)
    }

    /// How the service manager knows the daemon.
    package enum Units: Hashable, Sendable {
        /// No service manager runs this host.
        case absent
        case found(daemon: UnitFacts, boot: UnitFacts)
    }

    /// Whether the daemon judges nothing but looks: what it says of itself, else what its configuration says.
    var observesOnly: Bool? {
        if case .status(let status) = daemon { return status.observesOnly }
        return configuration.value?.observesOnly
    }

    /// What becomes of processes that no workload owns: allow, observe or deny.
    var unidentified: String? {
        if case .status(let status) = daemon { return status.unidentified }
        return configuration.value?.unidentified
    }

    /// Who of the workloads may do something: their processes and, where none runs, their users.
    var actors: [Actor] { processes.value?.actors ?? [] }
}
