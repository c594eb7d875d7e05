/// Why not every cgroup of a tree is known.
package enum CgroupGap: Hashable, Sendable {
    /// The kernel watches no more directories for this user (fs.inotify.max_user_watches).
    case watches
    /// There are more cgroups than are kept, which are this many.
    case room(Int)
    /// A part of the tree could not be read.
    case unreadable(Errno)
    /// The kernel had more to tell than it keeps (fs.inotify.max_queued_events).
    case lost
}
