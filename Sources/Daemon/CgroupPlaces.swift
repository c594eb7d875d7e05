internal import Policy
internal import System

/// Where cgroups lie, and what the kernel's rules take them for; each is looked up once.
struct CgroupPlaces {
    /// A cgroup, and the one that the rules know it as: itself, or its ancestor at the deepest level they look at.
    struct Place {
        /// Where the cgroup itself lies: its processes are found there.
        let path: String
        /// The id and the path by which the rules and the broker know it.
        let known: (id: UInt64, path: String)
    }

    /// How many that lie too deep are kept; when there are more, all are looked up again.
    ///
    /// Who may make cgroups below its own may make many, with long paths, and there is no other bound to them.
    private static let deepLimit = 4096

    /// The paths by id of those that are known as themselves: an id is never given to another cgroup.
    private var paths: [UInt64: String] = [:]
    private var deep: [UInt64: Place] = [:]

    /// All that are kept.
    var ids: Set<UInt64> { Set(paths.keys).union(deep.keys) }
    /// How many of them lie too deep for the rules.
    var deepCount: Int { deep.count }

    /// Where a cgroup lies, as far as that is kept.
    func path(of id: UInt64) -> String? { paths[id] ?? deep[id]?.path }

    /// The place of a cgroup; nil when it is gone or unknown.
    mutating func place(of id: UInt64, in tree: CgroupTree) -> Place? {
        guard id != 0 else { return nil }
        if let path = paths[id] { return Place(path: path, known: (id, path)) }
        if let place = deep[id] { return place }
        guard let path = tree.path(of: id) else { return nil }
        guard let place = Self.place(at: path, id: id, in: tree) else { return nil }
        if place.known.id == id {
            paths[id] = path
        } else {
            if deep.count >= Self.deepLimit { deep.removeAll() }
            deep[id] = place
        }
        return place
    }

    /// The place of the cgroup that lies there; nil when there is none.
    static func place(at path: String, in tree: CgroupTree) -> Place? { place(at: path, id: nil, in: tree) }

    private static func place(at path: String, id: UInt64?, in tree: CgroupTree) -> Place? {
        let knownPath = CgroupDepth.known(path)
        // An ancestor that was removed and made again since the path was read is known by the same policy.
        let knownID = knownPath == path ? id ?? tree.id(of: path) : tree.id(of: knownPath)
        return knownID.map { Place(path: path, known: ($0, knownPath)) }
    }

    /// Forgets a cgroup that is gone; the path at which it lay, if that was kept.
    mutating func forget(_ id: UInt64) -> String? {
        paths.removeValue(forKey: id) ?? deep.removeValue(forKey: id)?.path
    }
}
