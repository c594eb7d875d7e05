import CLinux

/// Who is at the other end of a Unix socket, as it was when it connected.
package final class Peer {
    /// The process that connected; 0 when it is in a pid namespace that cannot be seen from here.
    package let pid: Int32
    package let uid: UInt32
    package let gid: UInt32
    /// The supplementary groups.
    package let groups: [UInt32]
    /// Whether the process is known beyond its number (SO_PEERPIDFD, Linux 6.5).
    ///
    /// Without it there is a moment between connect(2) and accept(2) in which the number may have passed to another
    /// process.
    package let isExact: Bool
    /// The cgroup of the process when the peer was looked at first; nil when it could not be told.
    package private(set) var cgroupAtConnect: String?

    /// A pidfd, or -1: an optional of a type that cannot be copied cannot be looked into.
    private let process: Int32
    private let cgroups: CgroupTree

    private static let groupLimit = 1024

    /// The peer of a connected socket.
    package init(of socket: Int32, cgroups: CgroupTree) throws(Errno) {
        var credentials = clx_peer()
        try Errno.check(unsafe clx_peer(socket, &credentials))
        pid = credentials.pid
        uid = credentials.uid
        gid = credentials.gid
        groups = unsafe [UInt32](unsafeUninitializedCapacity: Self.groupLimit) { buffer, count in
            guard let start = buffer.baseAddress else { return }
            count = unsafe Int(Swift.max(0, clx_peer_groups(socket, start, Self.groupLimit)))
        }
        let exact = clx_peer_pidfd(socket)
        isExact = exact >= 0
        let opened = exact == -ENOPROTOOPT && credentials.pid > 0 ? clx_pidfd_open(credentials.pid) : exact
        process = opened
        self.cgroups = cgroups
        cgroupAtConnect = cgroup()
    }

    deinit { if process >= 0 { _ = clx_close(process) } }

    /// The cgroup of the process now; nil when it is gone or cannot be told, and then nothing may be granted to it.
    package func cgroup() -> String? {
        guard pid > 0, process >= 0, let path = cgroups.path(ofProcess: pid) else { return nil }
        // What was read belongs to the peer if the peer still lives afterwards: its number was not free in between.
        return isAlive ? path : nil
    }

    /// Whether the process that connected still runs.
    package var isAlive: Bool {
        process >= 0 && clx_pidfd_alive(process) == 1
    }

    /// Whether this group is among those of the peer.
    package func isMember(of group: UInt32) -> Bool { gid == group || groups.contains(group) }
}
