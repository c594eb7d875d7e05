import CLinux

/// The cgroup v2 tree of the host, wherever it is mounted.
///
/// Paths start with a slash and are relative to the mount point; `/` is its root.
package struct CgroupTree {
    /// How the path of a cgroup is found by its id.
    package enum Way: Sendable {
        /// The kernel opens it (open_by_handle_at, CAP_DAC_READ_SEARCH).
        case handle
        /// By a picture of the tree that is kept fresh; needs no capability.
        case index
    }

    private final class Directory {
        let descriptor: FileDescriptor
        init(_ descriptor: consuming FileDescriptor) { self.descriptor = descriptor }
    }

    /// Where the tree is mounted.
    package let mountPoint: String
    /// The path within the hierarchy that is mounted there: `/`, unless a container shows a part of it.
    let root: String
    private let directory: Directory
    /// Nil when the kernel opens a cgroup by its id.
    private let index: CgroupIndex?

    /// Finds the tree in /proc/self/mountinfo, on hybrid hosts too; ENOENT when cgroup v2 is not mounted.
    package init(_ way: Way? = nil) throws(Errno) {
        let text = try SmallFile.read("/proc/self/mountinfo", limit: 1 << 20)
        guard let mount = Mount.ofCgroups(in: text) else { throw Errno.notFound }
        try self.init(mountPoint: mount.point, root: mount.root, way)
    }

    /// The tree mounted at this point; EINVAL when something else is mounted there.
    ///
    /// Without a way, by handle where this process may.
    package init(mountPoint: String, root: String = "/", _ way: Way? = nil) throws(Errno) {
        let descriptor = try FileDescriptor.open(mountPoint, [.read, .directory])
        guard try Errno.check(clx_is_cgroup2(descriptor.rawValue)) == 1 else { throw Errno.invalidArgument }
        self.mountPoint = mountPoint
        self.root = root
        let way = way ?? (Self.opensByHandle(descriptor.rawValue) ? .handle : .index)
        index = way == .handle ? nil : try CgroupIndex(mountPoint: mountPoint, directory: descriptor.rawValue)
        directory = Directory(descriptor)
    }

    /// Whether the kernel lets this process open a cgroup by its id, tried with the root's.
    private static func opensByHandle(_ mount: Int32) -> Bool {
        var id: UInt64 = 0
        guard unsafe clx_cgroup_id(mount, "", &id) >= 0 else { return false }
        let opened = clx_cgroup_open(mount, id)
        if opened >= 0 { _ = clx_close(opened) }
        return opened >= 0
    }

    /// How paths are found by ids here.
    package var way: Way { index == nil ? .handle : .index }

    /// For the event loop: readable when `catchUp` has something to do; nil when there is never anything.
    package var changes: Int32? { index?.descriptor }

    /// Takes in which cgroups came and went, so that the next question for one is answered soon.
    package func catchUp() { index?.catchUp() }

    /// Makes up for cgroups that are not known, where that is possible by now; why some are still not.
    ///
    /// Never for long at a time, so it may be called over and over. Nil when all are known, or nobody asked yet.
    package func repair() -> CgroupGap? { index?.repair() }

    /// The path of a cgroup by its 64-bit id; nil when it is gone.
    package func path(of id: UInt64) -> String? {
        if let index { return index.path(of: id) }
        let opened = clx_cgroup_open(directory.descriptor.rawValue, id)
        guard opened >= 0 else { return nil }
        let descriptor = FileDescriptor(opened)
        let link = "/proc/self/fd/\(descriptor.rawValue)"
        guard let target = unsafe String(bytes: 4096, { unsafe clx_readlink(AT_FDCWD, link, $0, $1) }),
            target.hasPrefix(mountPoint)
        else { return nil }
        let path = String(target.dropFirst(mountPoint.count))
        if path.isEmpty { return "/" }
        // Removed after it was opened; or a cgroup whose name really ends so, which still has its id.
        if path.hasSuffix(" (deleted)"), self.id(of: path) != id { return nil }
        return path
    }

    /// The id of a cgroup by its path, with or without the leading slash; nil when there is none.
    package func id(of path: String) -> UInt64? {
        var id: UInt64 = 0
        let result = unsafe clx_cgroup_id(directory.descriptor.rawValue, relative(path), &id)
        return result < 0 ? nil : id
    }

    /// Whether a cgroup that was known by this path is gone; false when that cannot be told.
    package func isGone(_ id: UInt64, from path: String) -> Bool {
        var found: UInt64 = 0
        let result = unsafe clx_cgroup_id(directory.descriptor.rawValue, relative(path), &found)
        return result < 0 ? result == -ENOENT || result == -ENOTDIR || result == -ENODEV : found != id
    }

    /// The processes of a cgroup, not those of its descendants; empty when it is gone.
    ///
    /// For a threaded cgroup, the threads.
    package func processes(of path: String) -> [Int32] { processes(of: path, limit: 1 << 20).processes }

    /// The processes of a cgroup, at most `limit`, and whether those are all.
    package func processes(of path: String, limit: Int) -> (processes: [Int32], areAll: Bool) {
        let relative = relative(path)
        // A threaded cgroup answers EOPNOTSUPP for its processes: they belong to its domain, only threads are here.
        for file in ["cgroup.procs", "cgroup.threads"] {
            let name = relative.isEmpty ? file : "\(relative)/\(file)"
            guard let opened = try? FileDescriptor.open(name, .read, in: directory.descriptor.rawValue) else {
                continue
            }
            var count = 0
            let capacity = Swift.max(1, limit)
            var failed = false
            let numbers = unsafe [Int32](unsafeUninitializedCapacity: Swift.min(capacity, 4096)) { buffer, filled in
                guard let start = buffer.baseAddress else { return }
                count = unsafe Int(clx_numbers(opened.rawValue, start, Int32(buffer.count)))
                failed = count < 0
                filled = Swift.min(Swift.max(0, count), buffer.count)
            }
            if failed { continue }
            guard count > numbers.count, numbers.count < capacity else { return (numbers, count <= numbers.count) }
            return rest(after: numbers, of: name, capacity: capacity)
        }
        return ([], true)
    }

    /// Reads again with room for all: only for cgroups of more than 4,096 processes.
    private func rest(after first: [Int32], of name: String, capacity: Int) -> (processes: [Int32], areAll: Bool) {
        guard let opened = try? FileDescriptor.open(name, .read, in: directory.descriptor.rawValue) else {
            return (first, false)
        }
        var count = 0
        let numbers = unsafe [Int32](unsafeUninitializedCapacity: capacity) { buffer, filled in
            guard let start = buffer.baseAddress else { return }
            count = unsafe Int(clx_numbers(opened.rawValue, start, Int32(capacity)))
            filled = Swift.min(Swift.max(0, count), capacity)
        }
        return count < 0 ? (first, false) : (numbers, count <= capacity)
    }

    /// The cgroup of a process, by /proc/PID/cgroup; nil when the process is gone.
    ///
    /// A process outside of the mounted part of the tree gives its path within the hierarchy.
    package func path(ofProcess pid: Int32) -> String? {
        guard let text = try? SmallFile.read("/proc/\(pid)/cgroup", limit: 16384) else { return nil }
        return path(inProcFile: text)
    }

    /// The path in the text of a /proc/PID/cgroup file: its `0::` line.
    package func path(inProcFile text: String) -> String? { Self.path(inProcFile: text, root: root) }

    /// The same, for a tree of which the part below `root` is mounted.
    package static func path(inProcFile text: String, root: String) -> String? {
        guard let line = text.split(separator: "\n").first(where: { $0.hasPrefix("0::") }) else { return nil }
        let path = String(line.dropFirst(3))
        guard root != "/", path == root || path.hasPrefix(root + "/") else { return path }
        return path == root ? "/" : String(path.dropFirst(root.count))
    }

    private func relative(_ path: String) -> String { String(path.drop { $0 == "/" }) }
}
