/// The cgroup v2 tree.
package struct CgroupFacts: Hashable, Sendable {
    package var mountPoint: String
    /// Whether version 1 is mounted besides.
    package var isHybrid: Bool
    /// Whether an id leads to its cgroup (open_by_handle_at).
    package var opensById: Known<Bool>

    package init(mountPoint: String, isHybrid: Bool, opensById: Known<Bool>) {
        self.mountPoint = mountPoint
        self.isHybrid = isHybrid
        self.opensById = opensById
    }
}
