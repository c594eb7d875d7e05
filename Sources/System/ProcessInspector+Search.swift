import CLinux
import Model

extension ProcessInspector {
    /// What a search came to.
    struct Search {
        var places: [Place] = []
        /// Whether everything that there was to look at was looked at.
        var isComplete = true
        /// Whether the holder was found outside of the cgroup.
        var isElsewhere = false
    }

    private static let processSearchLimit = 512
    private static let descriptorLimit: Int32 = 1024
    private static let threadLimit: Int32 = 4096
    /// Cgroups with more processes than this are not searched for beyond: the holder is most likely one that was cut
    /// off.
    private static let fewProcesses = 32
    private static let hostLimit: Int32 = 4096

    /// Looks through the processes of a cgroup, then through their threads, then, if they are few, through the whole
    /// host.
    ///
    /// With `everyHolder` all processes of the cgroup that hold the socket are told; else the search ends with the
    /// first.
    func search(for inodes: [UInt64], cgroup path: String, everyHolder: Bool, deadline: SearchDeadline) -> Search {
        var search = Search()
        let (members, areAll) = cgroups.processes(of: path, limit: Self.processSearchLimit)
        search.isComplete = areAll
        for pid in members {
            guard look(through: pid, for: inodes, threadsToo: everyHolder, deadline: deadline, into: &search) else {
                break
            }
            if !everyHolder, !search.places.isEmpty { return search }
        }
        guard search.places.isEmpty, search.isComplete else { return search }
        if !everyHolder {
            for pid in members {
                guard lookThroughThreads(of: pid, for: inodes, deadline: deadline, into: &search) else { break }
                if !search.places.isEmpty { return search }
            }
        }
        guard search.places.isEmpty, members.count <= Self.fewProcesses else { return search }
        let here = Set(members)
        for pid in Self.numbers(in: "/proc", limit: Self.hostLimit).numbers where !here.contains(pid) {
            guard look(through: pid, for: inodes, threadsToo: false, deadline: deadline, into: &search) else { break }
            guard search.places.isEmpty else {
                search.isElsewhere = true
                break
            }
        }
        return search
    }

    /// Looks through one process; false when the time is up.
    func look(
        through pid: Int32,
        for inodes: [UInt64],
        threadsToo: Bool,
        deadline: SearchDeadline,
        into search: inout Search,
    ) -> Bool {
        guard !deadline.isOver else {
            search.isComplete = false
            return false
        }
        let folder = "/proc/\(pid)/\(access.descriptors)"
        let result = find(inodes, in: folder, limit: Self.descriptorLimit, deadline: deadline)
        switch result {
        case .found(let descriptor): search.places.append(Place(pid: pid, descriptor: descriptor))
        case .gaveUp: search.isComplete = false
        case .nothing where threadsToo:
            return lookThroughThreads(of: pid, for: inodes, deadline: deadline, into: &search)
        case .nothing: break
        }
        return true
    }

    /// Looks through the threads of a process that have a descriptor table of their own (unshare(2), CLONE_FILES),
    /// which /proc/PID/fd does not show; false when the time is up.
    private func lookThroughThreads(
        of pid: Int32,
        for inodes: [UInt64],
        deadline: SearchDeadline,
        into search: inout Search,
    ) -> Bool {
        let (threads, areAll) = Self.numbers(in: "/proc/\(pid)/task", limit: Self.threadLimit)
        if !areAll { search.isComplete = false }
        for thread in threads where thread != pid && clx_share_descriptors(pid, thread) != 1 {
            guard !deadline.isOver else {
                search.isComplete = false
                return false
            }
            let directory = "/proc/\(pid)/task/\(thread)/\(access.descriptors)"
            switch find(inodes, in: directory, limit: Self.descriptorLimit, deadline: deadline) {
            case .found:
                search.places.append(Place(pid: pid, descriptor: -1))
                return true
            case .gaveUp: search.isComplete = false
            case .nothing: break
            }
        }
        return true
    }

    private enum Result {
        case found(Int32)
        case nothing
        case gaveUp
    }

    private func find(_ inodes: [UInt64], in path: String, limit: Int32, deadline: SearchDeadline) -> Result {
        let directory: FileDescriptor
        do {
            directory = try FileDescriptor.open(path, [.read, .directory])
        } catch {
            // A process that is gone holds nothing; one that may not be looked at might.
            return error == .notFound || error == .noProcess ? .nothing : .gaveUp
        }
        var number: Int32 = -1
        let result = unsafe clx_find_socket(
            directory.rawValue,
            inodes,
            Int32(inodes.count),
            access.sockets,
            limit,
            deadline.processor.nanoseconds,
            &number,
        )
        return switch result {
        case 1: .found(number)
        case 0, -ENOENT, -ESRCH: .nothing
        default: .gaveUp
        }
    }

    /// The numbered entries of a directory, and whether those are all.
    package static func numbers(in path: String, limit: Int32) -> (numbers: [Int32], areAll: Bool) {
        do throws(Errno) {
            return numbers(in: try FileDescriptor.open(path, [.read, .directory]), limit: limit)
        } catch {
            // What is gone has none; what cannot be opened, because no descriptor is left or it is hidden, may have any.
            return ([], error == .notFound || error == .noProcess)
        }
    }

    private static func numbers(in directory: borrowing FileDescriptor, limit: Int32) -> ([Int32], areAll: Bool) {
        var result: Int32 = 0
        let descriptor = directory.rawValue
        let numbers = unsafe [Int32](unsafeUninitializedCapacity: Int(limit)) { buffer, count in
            guard let start = buffer.baseAddress else { return }
            result = unsafe clx_numeric_entries(descriptor, start, limit)
            count = Int(Swift.min(limit, Swift.max(0, result)))
        }
        return (numbers, result <= limit)
    }
}
