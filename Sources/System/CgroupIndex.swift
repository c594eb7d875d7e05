import CLinux
import Model

/// The cgroups of a tree by id, for a process that may not open one by it (open_by_handle_at wants CAP_DAC_READ_SEARCH).
///
/// The whole tree is read once and every cgroup in it watched (inotify(7)), so that a change costs as much as the change
/// is large. The kernel tells of a cgroup before mkdir(2) returns to its maker, so before any socket is opened in it. What
/// this knows is only where to look: every answer is compared with the id that the kernel has at that path now.
///
/// Where that does not hold (`CgroupGap`) the tree is read again when an id is not found, for at most a tenth of the time;
/// an id that is not found meanwhile is unknown. So is what lies in a cgroup into which its owner lets nobody look: those
/// are tried again when an id is not found. Changes of permissions are not watched, for whoever owns a cgroup could make
/// them faster than they are read.
final class CgroupIndex {
    private struct Node {
        /// 0 for the root.
        var parent: UInt64
        var name: String
        var watch: Int32
        var children: [String: UInt64] = [:]
        /// It waits in `closed`.
        var isClosed = false
    }

    /// The most cgroups that are kept: what is beyond them is unknown.
    private static let limit = 1 << 17
    private static let bufferSize = 65536
    /// How many buffers are read before questions are answered: about as much as the kernel keeps.
    private static let round = 16
    /// How many cgroups that were closed are tried at once.
    private static let closedRound = 256

    private let mountPoint: String
    private let directory: Int32
    private let limit: Int
    private let events: FileDescriptor
    private var nodes: [UInt64: Node] = [:]
    private var watched: [Int32: UInt64] = [:]
    private var root: UInt64 = 0
    /// Why not everything is known; nil also before the tree was read.
    private(set) var gap: CgroupGap?
    /// Events that came before the last question may not be taken in yet.
    private(set) var isBehind = false
    /// Cgroups into which their owners let nobody look, those that waited longest first; some may be gone.
    private var closed: [UInt64] = []
    /// What could not be watched last.
    private var unwatched = ""
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
        let helps = isBehind || nodes.isEmpty || (gap.map { mayFindMore($0) } ?? false)
        guard helps || !closed.isEmpty else { return nil }
        return afterPause { helps ? readAll() : lookAgain() } ? confirmed(id) : nil
    }

    /// Reads the tree again where that may make it complete; why it is not, nil when it is.
    func repair() -> CgroupGap? {
        catchUp()
        guard let gap, mayBeOver(gap) else { return gap }
        _ = afterPause(readAll)
        return self.gap
    }

    /// Does something for at most a tenth of the time; false when it is too early for that.
    private func afterPause(_ body: () -> Void) -> Bool {
        let begin = Clock.now()
        guard begin >= nextReading else { return false }
        body()
        let end = Clock.now()
        nextReading = end + Instant.Span(nanoseconds: 9 * (end - begin).nanoseconds)
        return true
    }

    /// Whether reading the tree again finds what is not known.
    private func mayFindMore(_ gap: CgroupGap) -> Bool {
        if case .room(let limit) = gap { nodes.count < limit } else { true }
    }

    /// Whether reading the tree again is likely to leave no gap.
    private func mayBeOver(_ gap: CgroupGap) -> Bool {
        switch gap {
        case .watches: unsafe clx_watch_entries(descriptor, mountPoint + unwatched) != -ENOSPC
        // Not for each one that comes and goes at the limit.
        case .room(let limit): nodes.count <= limit - limit / 16
        case .unreadable, .lost: true
        }
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
        var file = clx_file()
        do throws(Errno) {
            // Whether there is a descriptor at all.
            _ = try FileDescriptor.open(".", [.read, .directory], in: directory)
            try Errno.check(unsafe clx_stat(directory, ".", 0, &file))
        } catch {
            // What is known stays: most of it still holds, and every answer is compared with what is there.
            gap = .unreadable(error)
            return
        }
        nodes.removeAll(keepingCapacity: true)
        watched.removeAll(keepingCapacity: true)
        closed = []
        gap = nil
        root = file.inode
        insert(Node(parent: 0, name: "", watch: watch("")), as: root)
        readChildren(of: root, at: "")
    }

    /// Adds everything below a cgroup.
    private func readChildren(of id: UInt64, at path: String) {
        // In steps and not by recursion: a tree may be deeper than the stack.
        var open = [(id: id, path: path)]
        while let (id, path) = open.popLast() {
            do throws(Errno) {
                for name in try subdirectories(of: path) {
                    if let child = add(name, to: id, at: path) { open.append((child, "\(path)/\(name)")) }
                }
            } catch {
                miss(error, in: id)
            }
        }
    }

    /// Adds one cgroup; its id when there is something below it that is not known yet.
    private func add(_ name: String, to parent: UInt64, at path: String) -> UInt64? {
        guard let known = nodes[parent].map({ $0.children[name] }) else { return nil }
        guard known != nil || nodes.count < limit else {
            gap = .room(limit)
            return nil
        }
        let path = "\(path)/\(name)"
        // Watched before it is looked at: what comes in between is told twice and not missed.
        let watch = watch(path)
        var file = clx_file()
        let found = unsafe clx_stat(directory, String(path.dropFirst()), AT_SYMLINK_NOFOLLOW, &file)
        guard found >= 0 else {
            miss(Errno(-found), in: parent)
            return nil
        }
        if let known {
            if known == file.inode {
                guard watch >= 0, nodes[known]?.watch != watch else { return nil }
                setWatch(watch, of: known)
                return known
            }
            remove(known)
        }
        nodes[parent]?.children[name] = file.inode
        insert(Node(parent: parent, name: name, watch: watch), as: file.inode)
        if watch == -EACCES { close(file.inode) }
        // Two links and one for every directory in it.
        return file.links == 2 ? nil : file.inode
    }

    /// Watches a cgroup; negative when that cannot be.
    private func watch(_ path: String) -> Int32 {
        let watch = unsafe clx_watch_entries(descriptor, mountPoint + path)
        if watch == -ENOSPC {
            gap = .watches
            unwatched = path
        } else if watch < 0 {
            miss(Errno(-watch), in: nil)
        }
        return watch
    }

    /// Notes why a cgroup, or what is in it, could not be looked at.
    private func miss(_ error: Errno, in id: UInt64?) {
        switch error.code {
        // It is gone, or no path is short enough to lead there: reading the tree again does not find it either.
        case ENOENT, ENOTDIR, ENODEV, ENAMETOOLONG: break
        case EACCES: if let id { close(id) }
        default: gap = .unreadable(error)
        }
    }

    // ---- What owners hide

    private func close(_ id: UInt64) {
        guard nodes[id]?.isClosed == false else { return }
        nodes[id]?.isClosed = true
        closed.append(id)
        // One that is hidden and removed over and over must not fill the memory.
        if closed.count > 2 * nodes.count { closed.removeAll { nodes[$0] == nil } }
    }

    /// Looks again into some cgroups whose owners let nobody look.
    private func lookAgain() {
        let round = closed.prefix(Self.closedRound)
        closed.removeFirst(round.count)
        for id in round {
            guard let node = nodes[id], let path = place(of: id) else { continue }
            nodes[id]?.isClosed = false
            if node.watch < 0 {
                let watch = watch(path)
                if watch >= 0 { setWatch(watch, of: id) }
            }
            // Closes it again when that is still so.
            readChildren(of: id, at: path)
        }
    }

    private func setWatch(_ watch: Int32, of id: UInt64) {
        nodes[id]?.watch = watch
        watched[watch] = id
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

    private func subdirectories(of path: String) throws(Errno) -> [String] {
        let place = path.isEmpty ? "." : String(path.dropFirst())
        let opened = try FileDescriptor.open(place, [.read, .directory], in: directory)
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
            guard length == -Int(ERANGE), capacity < 1 << 26 else { throw Errno(Int32(clamping: -length)) }
            capacity *= 4
        }
    }

    // ---- Events

    /// Takes in what came and went since the last time, of very much only a part: somebody may make more meanwhile.
    func catchUp() {
        isBehind = false
        guard !nodes.isEmpty else { return }
        for _ in 0..<Self.round {
            buffer.removeAll(keepingCapacity: true)
            guard let count = try? UnixSocket.receive(on: descriptor, into: &buffer, limit: Self.bufferSize), count > 0
            else { return }
            var events = WatchEvents()
            while let event = unsafe events.next(in: buffer.span.bytes) { take(event) }
        }
        isBehind = true
    }

    private func take(_ event: WatchEvents.Event) {
        if event.isOverflow, gap == nil { gap = .lost }
        guard let id = watched[event.watch] else { return }
        if event.isIgnored { watched[event.watch] = nil }
        guard let name = event.name, event.isDirectory else { return }
        if event.isRemoval {
            // A younger one of the same name is told of next.
            if let child = nodes[id]?.children[name] { remove(child) }
        } else if event.isCreation, let path = place(of: id), let child = add(name, to: id, at: path) {
            readChildren(of: child, at: "\(path)/\(name)")
        }
    }
}
