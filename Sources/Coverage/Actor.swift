/// Who of a workload may open a door: one of its processes, or the user that its policy names.
package struct Actor: Hashable, Sendable {
    package var workload: String
    /// Nil for the user of a policy of which no process runs.
    package var process: Process?
    /// Nil for a policy that names none: any user.
    package var uid: UInt32?
    package var groups: [UInt32]

    /// What /proc says of a process.
    package struct Process: Hashable, Sendable {
        package var pid: Int32
        package var name: String
        /// The permitted set: what it has or takes whenever it likes; bits of include/uapi/linux/capability.h.
        package var capabilities: UInt64
        /// Whether no program that it starts can gain privileges.
        package var isConfined: Bool
        /// Whether it is in the network namespace that the report is about; nil when that could not be told.
        package var isInNetwork: Bool?
        /// The number of its mount namespace; 0 when it could not be told.
        package var mounts: UInt64

        package init(
            pid: Int32,
            name: String,
            capabilities: UInt64 = 0,
            isConfined: Bool = false,
            isInNetwork: Bool? = true,
            mounts: UInt64 = 0,
        ) {
            self.pid = pid
            self.name = name
            self.capabilities = capabilities
            self.isConfined = isConfined
            self.isInNetwork = isInNetwork
            self.mounts = mounts
        }
    }

    package init(workload: String, process: Process?, uid: UInt32?, groups: [UInt32]) {
        self.workload = workload
        self.process = process
        self.uid = uid
        self.groups = groups
    }

    /// Who may be anybody, for hosts that have no workload yet.
    static let anybody = Actor(workload: "", process: nil, uid: nil, groups: [])

    /// `llm-pretrain: python3.11 (pid 4711)`, `llm-pretrain: its user (uid 1001)`, `llm-pretrain: any user`, `any user`.
    var text: String {
        let who = process.map { "\($0.name) (pid \($0.pid))" } ?? uid.map { "its user (uid \($0))" } ?? "any user"
        return workload.isEmpty ? who : "\(workload): \(who)"
    }
}

extension Actor {
    private static let overridesPermissions: UInt64 = 1 << 1

    /// The capabilities that reach around the rules, of those that its process has.
    var powers: [Power] {
        let set = process?.capabilities ?? 0
        return Power.all.filter { set >> $0.bit & 1 == 1 }
    }

    /// Whether permissions of files do not bind it.
    var isAboveFiles: Bool { process.map { $0.capabilities & Self.overridesPermissions != 0 } ?? (uid == 0) }
}
