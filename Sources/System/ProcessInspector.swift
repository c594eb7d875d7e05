import CLinux
package import Model

/// Finds out which process holds a socket, and what that process is.
///
/// The warm path remembers for each cgroup who held the last sockets and at which descriptor numbers, and looks there
/// and next to there first: three or four calls of the kernel. Everything else is a search of the cgroup's processes,
/// bounded in number (512 processes, 1,024 descriptors each) and in time (`SearchBudget`). Needs CAP_SYS_PTRACE to see
/// the processes of others. Not thread-safe: it belongs to the loop's thread.
package final class ProcessInspector {
    /// What was found out about who made a request.
    package typealias Finding = (process: ProcessRecord, context: [String: String])

    /// A place where a socket was found.
    struct Place: Hashable {
        var pid: Int32
        /// The descriptor; -1 when it is in the table of a thread that shares it with no other.
        var descriptor: Int32
    }

    let cgroups: CgroupTree
    package let access: ProcessAccess
    private let variables: [String]
    private var processes: [Int32: KnownProcess] = [:]
    private var places: [String: [Place]] = [:]
    private var questions: UInt64 = 0
    /// What its searches may still take.
    package var budget: SearchBudget

    private static let processLimit = 256
    private static let cgroupLimit = 1024
    private static let placeLimit = 8
    private static let neighbours: [Int32] = [0, 1, -1, 2, -2, 3, 4]

    /// An inspector that puts these environment variables of a process into its context.
    package convenience init(context: [String], cgroups: CgroupTree, access: ProcessAccess = .ofProcess()) {
        self.init(context: context, cgroups: cgroups, budget: SearchBudget(at: Clock.now()), access: access)
    }

    /// An inspector with another budget for its searches.
    package init(
        context: [String],
        cgroups: CgroupTree,
        budget: SearchBudget,
        access: ProcessAccess = .ofProcess(),
    ) {
        variables = context
        self.access = access
        self.cgroups = cgroups
        self.budget = budget
    }

    /// Who holds a socket.
    ///
    /// - Parameters:
    ///   - inode: the socket's, as in `socket:[inode]`.
    ///   - path: the cgroup in which the socket was created; the search is among its processes.
    ///   - uid: the socket's owner, which goes into the record.
    ///   - needCertain: whether `isCertain` matters. Without it the answer may come from the warm path and is never
    ///   certain.
    /// - Returns: a record without a pid when nobody was found. The cgroup is that of the socket; when its holder was
    ///   found elsewhere, the holder's own. `isCertain` only when every process and thread of the cgroup was looked at,
    ///   all that hold the socket run one executable, that is the file which this host has at that path, and they still
    ///   do and are still in the cgroup after all was read.
    package func holder(
        ofSocketInode inode: UInt64,
        cgroup path: String,
        uid: UInt32?,
        needCertain: Bool = false,
    ) -> Finding {
        questions += 1
        if !needCertain, let process = warm(inode, cgroup: path) {
            return finding(process, uid: uid, cgroup: path)
        }
        let nobody = ProcessRecord(uid: uid, cgroup: path)
        let start = Clock.processor()
        guard let deadline = budget.deadline(for: path, at: Clock.now(), processor: start) else {
            // The warm place costs next to nothing, and naming somebody is better than nobody.
            return needCertain
                ? warm(inode, cgroup: path).map { finding($0, uid: uid, cgroup: path) } ?? (nobody, [:]) : (nobody, [:])
        }
        defer { budget.spend(Clock.processor() - start, for: path) }
        let search = search(for: [inode], cgroup: path, everyHolder: needCertain, deadline: deadline)
        guard let place = search.places.first, let process = known(place.pid) else { return (nobody, [:]) }
        if !search.isElsewhere { remember(place, for: path) }
        let cgroup = search.isElsewhere ? cgroups.path(ofProcess: place.pid) ?? path : path
        var result = finding(process, uid: uid, cgroup: cgroup)
        result.process.isCertain =
            needCertain && search.isComplete && !search.isElsewhere
            && areOneProgram(search.places, cgroup: path)
        return result
    }

    /// What a process is, now; nil when it is gone.
    ///
    /// Never certain.
    package func process(pid: Int32) -> ProcessRecord? {
        questions += 1
        guard pid > 0, let process = known(pid) else { return nil }
        return finding(process, uid: process.uid(), cgroup: cgroups.path(ofProcess: pid)).process
    }

    /// Whether the processes of other users can be looked at, in a /proc that hides them (`hidepid`) too: whether
    /// CAP_SYS_PTRACE is in force.
    package static var seesOthers: Bool {
        guard let status = try? SmallFile.read("/proc/self/status", limit: 8192),
            let line = status.split(separator: "\n").first(where: { $0.hasPrefix("CapEff:") }),
            let set = UInt64(line.dropFirst(7).drop { $0 == "\t" }, radix: 16)
        else { return false }
        // CAP_SYS_PTRACE of include/uapi/linux/capability.h.
        return set >> 19 & 1 == 1
    }

    /// Forgets a cgroup that is gone.
    package func forget(cgroup path: String) { places[path] = nil }

    /// Whether a program cannot be compared with the one that a process runs, because this process may not enter its folder.
    package static func isHidden(_ path: String) -> Bool {
        var file = clx_file()
        return unsafe clx_stat(AT_FDCWD, path, 0, &file) == -EACCES
    }

    /// How many processes are kept open, two descriptors each.
    package var processCount: Int { processes.count }

    // ---- The warm path

    private func warm(_ inode: UInt64, cgroup path: String) -> KnownProcess? {
        guard let known = places[path] else { return nil }
        for (index, place) in known.enumerated() {
            guard let process = processes[place.pid] else { continue }
            // Next to the last one only for the process that asked last: the others cost one look each.
            for step in index == 0 ? Self.neighbours[...] : Self.neighbours.prefix(2) {
                guard process.socket(at: place.descriptor + step) == inode else { continue }
                guard process.refresh() else {
                    drop(place.pid)
                    return nil
                }
                process.lastUse = questions
                if index != 0 || step != 0 {
                    remember(Place(pid: place.pid, descriptor: place.descriptor + step), for: path)
                }
                return process
            }
        }
        return nil
    }

    private func remember(_ place: Place, for path: String) {
        guard place.descriptor >= 0 else { return }
        if places.count >= Self.cgroupLimit, places[path] == nil { places.removeAll() }
        var list = places[path] ?? []
        // One place for each process: its descriptors are next to each other.
        list.removeAll { $0.pid == place.pid }
        list.insert(place, at: 0)
        if list.count > Self.placeLimit { list.removeLast() }
        places[path] = list
    }

    // ---- Processes

    /// A process as it is now, from the cache if that still holds.
    func known(_ pid: Int32) -> KnownProcess? {
        if let process = processes[pid] {
            if process.refresh() {
                process.lastUse = questions
                return process
            }
            drop(pid)
        }
        guard let process = KnownProcess(pid: pid, variables: variables, access: access) else { return nil }
        if processes.count >= Self.processLimit { dropOldest() }
        process.lastUse = questions
        processes[pid] = process
        return process
    }

    private func drop(_ pid: Int32) { processes[pid] = nil }

    /// Makes room: first of the dead, else of the quarter that was not asked for the longest.
    private func dropOldest() {
        for (pid, process) in processes where !process.refresh() { drop(pid) }
        guard processes.count >= Self.processLimit else { return }
        for process in processes.values.sorted(by: { $0.lastUse < $1.lastUse }).prefix(Self.processLimit / 4) {
            drop(process.pid)
        }
    }

    func finding(_ process: KnownProcess, uid: UInt32?, cgroup: String?) -> Finding {
        var record = process.record
        record.uid = uid
        record.cgroup = cgroup
        return (record, process.context)
    }

    /// Whether all of these run one file of this host and are in the cgroup, looked at anew.
    private func areOneProgram(_ places: [Place], cgroup path: String) -> Bool {
        var executable: String?
        for place in places {
            guard let process = known(place.pid), process.runsFileOfHost(), let runs = process.record.executable,
                executable == nil || executable == runs, cgroups.path(ofProcess: place.pid) == path, process.refresh(),
                process.record.executable == runs
            else { return false }
            executable = runs
        }
        return executable != nil
    }
}
