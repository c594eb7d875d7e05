import Model

/// Two policy files that cannot be in force together.
package struct PolicyConflict: Error, Hashable, Sendable, CustomStringConvertible {
    /// What they have in common.
    package enum Kind: Hashable, Sendable {
        /// The name of the workload.
        case name
        /// This cgroup path, and a user.
        case identity(path: String)
    }

    package let kind: Kind
    /// The name, glob and file of the one that was there first (by file name).
    package let first: Side
    package let second: Side

    /// One of the two.
    package struct Side: Hashable, Sendable {
        package let workload: String
        package let glob: CgroupGlob
        package let file: String

        init(_ workload: Workload) {
            self.workload = workload.name
            self.glob = workload.cgroup
            self.file = workload.file
        }
    }

    /// What is wrong with the second file, with the mend, without a position.
    package var description: String {
        switch kind {
        case .name:
            return "workload '\(second.workload)' is already defined in \(first.file); give one of them another name"
        case .identity(let path):
            let both = first.glob == second.glob ? "" : " (both match \(TextError.quote(path)))"
            return "identity '\(second.glob)' overlaps '\(first.glob)' of workload '\(first.workload)' in \(first.file)"
                + "\(both); narrow one of them, or give each its own user"
        }
    }
}

/// All conflicts of a policy set.
package struct PolicyConflicts: Error, Hashable, Sendable {
    package let conflicts: [PolicyConflict]
}
