/// All policies in force together: no two with one name, no process with two workloads.
package struct PolicySet: Sendable {
    /// The workloads, sorted by name.
    package let workloads: [Workload]
    /// The folder they were read from, as it was given.
    package let folder: String
    private let index: IdentityIndex

    /// The set of these policies; throws every pair that cannot be in force together.
    package init(_ workloads: [Workload], folder: String = "") throws(PolicyConflicts) {
        let conflicts = PolicyConflict.search(workloads)
        guard conflicts.isEmpty else { throw PolicyConflicts(conflicts: conflicts) }
        var index = IdentityIndex()
        for workload in workloads { index.insert(workload) }
        self.init(sorted: workloads.sorted { $0.name < $1.name }, folder: folder, index: index)
    }

    /// The set without policies.
    package static let empty = PolicySet(sorted: [], folder: "", index: IdentityIndex())

    private init(sorted: [Workload], folder: String, index: IdentityIndex) {
        self.workloads = sorted
        self.folder = folder
        self.index = index
    }

    /// The set without the workloads of some names and with others instead: costs what changes, not what stays.
    package func replacing(_ removed: Set<String>, with added: [Workload]) throws(PolicyConflicts) -> PolicySet {
        // A few against all is linear; many are sorted through.
        guard removed.count + added.count <= 64 else {
            return try PolicySet(workloads.filter { !removed.contains($0.name) } + added, folder: folder)
        }
        var (workloads, index) = (workloads, index)
        var (gone, new) = (removed, added)
        // Most changes are of rules alone: such a workload stays where it is, and nothing else can be in its way.
        new.removeAll { workload in
            guard gone.contains(workload.name), let place = position(of: workload.name, in: workloads),
                workloads[place].hasIdentity(of: workload)
            else { return false }
            workloads[place] = workload
            return gone.remove(workload.name) != nil
        }
        for name in gone {
            guard let place = position(of: name, in: workloads) else { continue }
            index.remove(workloads.remove(at: place))
        }
        let conflicts = PolicyConflict.search(new) + PolicyConflict.search(new, against: workloads)
        guard conflicts.isEmpty else { throw PolicyConflicts(conflicts: conflicts) }
        for workload in new {
            workloads.insert(workload, at: lowerBound(of: workload.name, in: workloads))
            index.insert(workload)
        }
        return PolicySet(sorted: workloads, folder: folder, index: index)
    }

    /// The workload of this name.
    package subscript(name: String) -> Workload? {
        position(of: name, in: workloads).map { workloads[$0] }
    }

    /// Whose a process in this cgroup is: the nearest cgroup upwards that a workload names decides.
    ///
    /// One that lies deeper than the kernel's rules look (`CgroupDepth`) is what its ancestor there is.
    /// Takes the path with or without its leading slash. Without a user, a workload that names one is identified by its
    /// cgroup alone, unless several share it.
    package func identify(cgroup path: String, uid: UInt32?) -> Identification {
        let path = CgroupDepth.known(path)
        var rest = path.utf8[...]
        if rest.first == UInt8(ascii: "/") { rest.removeFirst() }
        while !rest.isEmpty {
            let entries = index.entries(matching: String(Substring(rest)))
            if !entries.isEmpty { return identify(entries, uid: uid) }
            guard let slash = rest.lastIndex(of: UInt8(ascii: "/")) else { break }
            rest = rest[..<slash]
        }
        return .unidentified
    }

    private func identify(_ entries: [IdentityIndex.Entry], uid: UInt32?) -> Identification {
        guard let uid else { return entries.count == 1 ? .workload(entries[0].workload) : .ambiguous }
        if let entry = entries.first(where: { $0.user == nil || $0.user == uid }) { return .workload(entry.workload) }
        return .wrongUser(entries.map(\.workload).min() ?? entries[0].workload)
    }

    private func position(of name: String, in workloads: [Workload]) -> Int? {
        let place = lowerBound(of: name, in: workloads)
        return place < workloads.count && workloads[place].name == name ? place : nil
    }

    private func lowerBound(of name: String, in workloads: [Workload]) -> Int {
        var (low, high) = (0, workloads.count)
        while low < high {
            let middle = (low + high) / 2
            if workloads[middle].name < name { low = middle + 1 } else { high = middle }
        }
        return low
    }
}

extension Workload {
    fileprivate func hasIdentity(of other: Workload) -> Bool { cgroup == other.cgroup && user == other.user }
}

extension PolicySet: Equatable {
    package static func == (left: PolicySet, right: PolicySet) -> Bool {
        left.workloads == right.workloads && left.folder == right.folder
    }
}
