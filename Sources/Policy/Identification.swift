/// Whose a process is, by its cgroup and user.
package enum Identification: Hashable, Sendable {
    case workload(String)
    /// In the workload's cgroup, but another user: neither the workload nor unidentified, and denied.
    case wrongUser(String)
    /// Several workloads share the cgroup by their users, and the user is not known.
    case ambiguous
    case unidentified
}
