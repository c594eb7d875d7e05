extension ProcessInspector {
    /// The cgroup paths of all processes, or of those that run as this user (the effective one).
    ///
    /// Looks through all of /proc: for what is rare.
    package func cgroups(ofUser uid: UInt32?) -> Set<String> {
        var paths: Set<String> = []
        for pid in Self.numbers(in: "/proc", limit: 1 << 22).numbers
        where uid == nil || KnownProcess.uid("/proc/\(pid)/status") == uid {
            if let path = cgroups.path(ofProcess: pid) { paths.insert(path) }
        }
        return paths
    }
}
