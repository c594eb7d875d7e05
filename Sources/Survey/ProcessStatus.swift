/// What a report needs of a /proc/PID/status (proc_pid_status(5)).
struct ProcessStatus: Hashable {
    let name: String
    /// The effective user.
    let uid: UInt32
    /// The effective group and the supplementary ones.
    let groups: [UInt32]
    /// The permitted set: what is not in effect now is whenever the process likes.
    let capabilities: UInt64
    /// Whether exec(2) can no longer give it privileges.
    let isConfined: Bool
    let isKernelThread: Bool

    /// Nil when a line is missing that every Linux since 4.10 writes.
    init?(_ text: String) {
        var lines: [Substring: Substring] = [:]
        for line in text.split(separator: "\n") {
            guard let colon = line.firstIndex(of: ":") else { continue }
            lines[line[..<colon]] = line[line.index(after: colon)...].drop { $0 == "\t" || $0 == " " }
        }
        func numbers(_ key: Substring) -> [UInt32] {
            (lines[key] ?? "").split { $0 == "\t" || $0 == " " }.compactMap { UInt32($0) }
        }
        guard let name = lines["Name"], numbers("Uid").count > 1, numbers("Gid").count > 1,
            let capabilities = lines["CapPrm"].flatMap({ UInt64($0, radix: 16) })
        else { return nil }
        self.name = String(name)
        uid = numbers("Uid")[1]
        groups = [numbers("Gid")[1]] + numbers("Groups")
        self.capabilities = capabilities
        isConfined = lines["NoNewPrivs"] == "1"
        // The kernel's own are children of kthreadd, process 2, in the first namespace of processes.
        isKernelThread = lines["Kthread"] == "1" || lines["Pid"] == "2" && lines["PPid"] == "0" || lines["PPid"] == "2"
    }
}
