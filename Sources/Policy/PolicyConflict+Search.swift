extension PolicyConflict {
    /// All workloads whose name is taken, and for each identity that overlaps others the first of these.
    static func search(_ workloads: [Workload]) -> [PolicyConflict] {
        duplicates(workloads) + overlaps(workloads)
    }

    /// The conflicts of a few workloads with many that have none among themselves.
    static func search(_ few: [Workload], against many: [Workload]) -> [PolicyConflict] {
        var conflicts: [PolicyConflict] = []
        for workload in few {
            // By index: ten thousand copies of a workload cost more than what is asked of them.
            if let index = many.indices.first(where: { many[$0].name == workload.name }) {
                conflicts.append(PolicyConflict(.name, many[index], workload))
            }
            for index in many.indices where many[index].mayShareUsers(with: workload.user) {
                guard let path = workload.cgroup.commonPath(with: many[index].cgroup) else { continue }
                conflicts.append(PolicyConflict(.identity(path: path), many[index], workload))
                break
            }
        }
        return conflicts
    }

    private init(_ kind: Kind, _ one: Workload, _ other: Workload) {
        let isInOrder = (one.file, one.name) <= (other.file, other.name)
        self.init(kind: kind, first: Side(isInOrder ? one : other), second: Side(isInOrder ? other : one))
    }

    private static func duplicates(_ workloads: [Workload]) -> [PolicyConflict] {
        var firsts: [String: Workload] = [:]
        var conflicts: [PolicyConflict] = []
        for workload in workloads.sorted(by: { $0.file < $1.file }) {
            if let first = firsts[workload.name] {
                conflicts.append(PolicyConflict(.name, first, workload))
            } else {
                firsts[workload.name] = workload
            }
        }
        return conflicts
    }

    /// Two globs can overlap only if what stands before the first star of one begins with that of the other.
    ///
    /// So they are walked in the order of these heads, with the heads that the present one begins with on a stack.
    private static func overlaps(_ workloads: [Workload]) -> [PolicyConflict] {
        let items = workloads.map(Item.init).sorted { left, right in
            left.head == right.head
                ? left.tail.count < right.tail.count : left.head.lexicographicallyPrecedes(right.head)
        }
        var conflicts: [PolicyConflict] = []
        var stack: [Level] = []
        for item in items {
            while let top = stack.last, !item.head.starts(with: top.head) { stack.removeLast() }
            search: for level in stack {
                for other in level.candidates(for: item) {
                    guard let path = item.workload.sharedPath(with: other) else { continue }
                    conflicts.append(PolicyConflict(.identity(path: path), other, item.workload))
                    break search
                }
            }
            if stack.last?.head != item.head { stack.append(Level(head: item.head)) }
            stack[stack.count - 1].add(item)
        }
        return conflicts
    }
}

extension Workload {
    /// A path that is both workloads' for some user; nil when there is none.
    fileprivate func sharedPath(with other: Workload) -> String? {
        guard mayShareUsers(with: other.user) else { return nil }
        return cgroup.commonPath(with: other.cgroup)
    }

    fileprivate func mayShareUsers(with other: UInt32?) -> Bool { user == nil || other == nil || user == other }
}

/// A workload with the literal ends of its glob.
private struct Item {
    let workload: Workload
    let head: [UInt8]
    let tail: [UInt8]

    init(_ workload: Workload) {
        self.workload = workload
        self.head = Array(workload.cgroup.head)
        self.tail = Array(workload.cgroup.tail)
    }
}

/// The workloads of one head that have been passed, by their tails.
private struct Level {
    let head: [UInt8]
    private var tails: [[UInt8]: [Workload]] = [:]
    private var lengths: Set<Int> = []

    init(head: [UInt8]) { self.head = head }

    mutating func add(_ item: Item) {
        tails[item.tail, default: []].append(item.workload)
        lengths.insert(item.tail.count)
    }

    /// The workloads whose tail ends with the item's or the other way round.
    func candidates(for item: Item) -> [Workload] {
        var found: [Workload] = []
        for length in lengths where length <= item.tail.count {
            found += tails[Array(item.tail.suffix(length))] ?? []
        }
        guard lengths.contains(where: { $0 > item.tail.count }) else { return found }
        for (tail, workloads) in tails
        where tail.count > item.tail.count && tail.suffix(item.tail.count) == item.tail[...] {
            found += workloads
        }
        return found.sorted { $0.name < $1.name }
    }
}
