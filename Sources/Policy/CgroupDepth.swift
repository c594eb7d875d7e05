/// How far down the kernel's rules tell cgroups apart.
///
/// Identities are found by the ancestors of a socket's cgroup, one look for each level: there are only so many.
package enum CgroupDepth {
    /// How deep a cgroup may lie and still be told from its parent; the root's children lie at 1.
    package static let deepest = 8

    /// The path of the cgroup that the rules take this one for: the same, or that of its ancestor at the deepest level.
    ///
    /// With or without the leading slash, as the path is given.
    package static func known(_ path: String) -> String {
        let bytes = path.utf8
        var depth = 1
        for index in bytes.indices where bytes[index] == UInt8(ascii: "/") && index != bytes.startIndex {
            guard depth < deepest else { return String(path[..<index]) }
            depth += 1
        }
        return path
    }
}
