import CLinux
import Model

/// The cgroups of a tree by id, for a process that may not open one by it (open_by_handle_at wants CAP_DAC_READ_SEARCH).
///
/// The whole tree is read once and every cgroup in it watched (inotify(7)), so that a change costs as much as the change
/// is large. The kernel tells of a cgroup before mkdir(2) returns to its maker, so before any socket is opened in it. What
/// this knows is only where to look: every answer is compared with the id that the kernel has at that path now.
///
/// Where watches run out (fs.inotify.max_user_watches) or events were lost, the tree is read again when an id is not
/// found, for at most a tenth of the time; an id that is not found meanwhile is unknown.
final class CgroupIndex {
    private struct Node {
        /// 0 for the root.
        var parent: UInt64
        var name: String
        var watch: Int32
        var children: [String: UInt64] = [:]
    }

    /// The most cgroups that are kept: what is beyond them is unknown.
    private static let limit = 1 << 17
    private static let bufferSize = 65536

    private let mountPoint: String
    private let directory: Int32
    private let limit: Int
    private let events: FileDescriptor
    private var nodes: [UInt64: Node] = [:]
    private var watched: [Int32: UInt64] = [:]
    private var root: UInt64 = 0
    /// Whether everything is watched and no event was lost since it was read.
    private(set) var isComplete = false
    private var nextReading = Instant(nanoseconds: 0)
    private var buffer: [UInt8] = []

    /// How many cgroups are known.
    var count: Int { nodes.count }
    /// For the event loop: readable when a cgroup came or went.
    var descriptor: Int32 { events.rawValue }

    /// An index that is filled when it is asked for the first time; `directory` is the open mount point.
    init(mountPoint: String, directory: Int32, limit: Int = CgroupIndex.limit) throws(Errno) {
        self.mountPoint = mountPoint
        self.directory = directory
        self.limit = limit
        events = try FileDescriptor(checking: clx_watch_create())
    }

    /// The path at which the cgroup with this id is now; nil when it is gone, or not known.
    func path(of id: UInt64) -> String? {
        catchUp()
        if let path = confirmed(id) { return path }
        guard !isComplete else { return nil }
        let now = Clock.now()
        guard now >= nextReading else { return nil }
        readAll()
        let end = Clock.now()
        nextReading = end + Instant.Span(nanoseconds: 9 * (end - now).nanoseconds)
        return confirmed(id)
    }

    private func confirmed(_ id: UInt64) -> String? {
        guard let path = place(of: id) else { return nil }
        var found: UInt64 = 0
        // The path without its slash: relative to the mount.
        guard unsafe clx_cgroup_id(directory, String(path.dropFirst()), &found) >= 0, found == id else { return nil }
        return path.isEmpty ? "/" : path
    }

    /// The path, from the slash after the mount point; empty for the root.
    private func place(of id: UInt64) -> String? {
        var names: [String] = []
        var next = id
        while next != root {
            guard let node = nodes[next] else { return nil }
            names.append(node.name)
            next = node.parent
        }
        return nodes[root] == nil ? nil : names.reversed().reduce(into: "") { $0 += "/" + $1 }
    }

    // ---- Reading

    private func readAll() {
        nodes.removeAll(keepingCapacity: true)
        watched.removeAll(keepingCapacity: true)
        isComplete = true
        root = 0
        var file = clx_file()
        let watch = watch("")
        guard unsafe clx_stat(directory, ".", 0, &file) >= 0 else {
            isComplete = false
            return
        }
        root = file.inode
        insert(Node(parent: 0, name: "", watch: watch), as: root)
        readChildren(of: root, at: "")
    }

    /// Adds everything below a cgroup.
    private func readChildren(of id: UInt64, at path: String) {
        // In steps and not by recursion: a tree may be deeper than the stack.
        var open = [(id: id, path: path)]
        while let (id, path) = open.popLast() {
            guard let names = subdirectories(of: path) else { continue }
            for name in names {
                if let child = add(name, to: id, at: path) { open.append((child, "\(path)/\(name)")) }
            }
        }
    }

    /// Adds one cgroup; its id when there is something below it that is not known yet.
    private func add(_ name: String, to parent: UInt64, at path: String) -> UInt64? {
        let path = "\(path)/\(name)"
        // Watched before it is looked at: what comes in between is told twice and not missed.
        let watch = watch(path)
        var file = clx_file()
        let found = unsafe clx_stat(directory, String(path.dropFirst()), AT_SYMLINK_NOFOLLOW, &file)
        guard found >= 0, nodes[parent] != nil else { return nil }
        if let known = nodes[parent]?.children[name] {
            if known == file.inode {
                guard watch >= 0, nodes[known]?.watch != watch else { return nil }
                // Its owner lets others look into it again.
                nodes[known]?.watch = watch
                watched[watch] = known
                return known
            }
            remove(known)
        }
        guard nodes.count < limit else {
            isComplete = false
            return nil
        }
        nodes[parent]?.children[name] = file.inode
        insert(Node(parent: parent, name: name, watch: watch), as: file.inode)
        // Two links and one for every directory in it.
        return file.links == 2 ? nil : file.inode
    }

    /// Watches a cgroup; negative when that cannot be.
    private func watch(_ path: String) -> Int32 {
        let watch = unsafe clx_watch_entries(descriptor, mountPoint + path)
        // One that is gone, or into which its owner lets nobody look, is not found by reading the tree again either.
        if watch < 0, watch != -ENOENT, watch != -EACCES { isComplete = false }
        return watch
    }

    private func insert(_ node: Node, as id: UInt64) {
        if node.watch >= 0 { watched[node.watch] = id }
        nodes[id] = node
    }

    /// Forgets a cgroup and all below it.
    private func remove(_ id: UInt64) {
        if let node = nodes[id] { nodes[node.parent]?.children[node.name] = nil }
        var open = [id]
        while let id = open.popLast() {
            guard let node = nodes.removeValue(forKey: id) else { continue }
            if watched[node.watch] == id { watched[node.watch] = nil }
            open += node.children.values
        }
    }

    private func subdirectories(of path: String) -> [String]? {
        let place = path.isEmpty ? "." : String(path.dropFirst())
        guard let opened = try? FileDescriptor.open(place, [.read, .directory], in: directory) else {
            // Gone, or its owner lets nobody look: what is in there stays unknown.
            return nil
        }
        var capacity = 16384
        while true {
            var length = 0
            let names = unsafe [CChar](unsafeUninitializedCapacity: capacity) { buffer, count in
                guard let start = buffer.baseAddress else { return }
                length = unsafe clx_subdirectories(opened.rawValue, start, capacity)
                count = Swift.max(0, length)
            }
            if length >= 0 {
                return names.split(separator: 0).map { name in
                    String(decoding: name.map(UInt8.init(bitPattern:)), as: UTF8.self)
                }
            }
            guard length == -Int(ERANGE), capacity < 1 << 26 else { return nil }
            capacity *= 4
        }
    }

    // ---- Events

    /// Takes in what came and went since the last time.
    func catchUp() {
        guard !nodes.isEmpty else { return }
        buffer.removeAll(keepingCapacity: true)
        while let count = try? UnixSocket.receive(on: descriptor, into: &buffer, limit: Self.bufferSize), count > 0 {
            var events = WatchEvents()
            while let event = unsafe events.next(in: buffer.span.bytes) { take(event) }
            buffer.removeAll(keepingCapacity: true)
        }
    }

    private func take(_ event: WatchEvents.Event) {
        if event.isOverflow { isComplete = false }
        guard let id = watched[event.watch] else { return }
        if event.isIgnored { watched[event.watch] = nil }
        guard let name = event.name, event.isDirectory else { return }
        if event.isRemoval {
            // A younger one of the same name is told of next.
            if let child = nodes[id]?.children[name] { remove(child) }
        } else if event.isCreation || isHidden(name, in: id), let path = place(of: id),
            let child = add(name, to: id, at: path)
        {
            readChildren(of: child, at: "\(path)/\(name)")
        }
    }

    private func isHidden(_ name: String, in parent: UInt64) -> Bool {
        guard let child = nodes[parent]?.children[name], let node = nodes[child] else { return false }
        return node.watch < 0
    }
}
