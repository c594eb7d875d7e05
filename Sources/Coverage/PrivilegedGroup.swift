/// A group whose members can do more than other users.
package struct PrivilegedGroup: Hashable, Sendable {
    /// What a member can do, in the order in which the report says it.
    package enum Reach: Sendable, CaseIterable {
        case becomesRoot, approves, changesNetwork, runsMachines, readsSecrets
    }

    package let name: String
    package let reach: Reach

    package init(_ name: String, _ reach: Reach) {
        self.name = name
        self.reach = reach
    }

    /// Those that distributions and packages make, whatever their number on a host.
    package static let known: [PrivilegedGroup] =
        [
            "root", "sudo", "wheel", "admin", "docker", "lxd", "lxc", "incus-admin", "microk8s", "libvirt", "disk",
        ].map { PrivilegedGroup($0, .becomesRoot) }
        + ["netdev", "wireshark"].map { PrivilegedGroup($0, .changesNetwork) }
        + ["incus", "kvm"].map { PrivilegedGroup($0, .runsMachines) }
        + ["shadow", "kmem", "adm", "systemd-journal", "libvirt-qemu"].map { PrivilegedGroup($0, .readsSecrets) }
}

extension PrivilegedGroup.Reach {
    /// What follows, without a full stop.
    var consequence: String {
        switch self {
        case .becomesRoot: "who becomes root takes the rules away"
        case .approves: "an approver lets a workload out from any login outside it"
        case .changesNetwork: "members make tunnels and captures through services that run as root"
        case .runsMachines: "members run machines or containers, which no policy names"
        case .readsSecrets: "members read logs, keys or memory of others"
        }
    }

    /// Whether something gets out by it that no policy allows.
    var isOpen: Bool {
        switch self {
        case .becomesRoot, .approves, .changesNetwork: true
        case .runsMachines, .readsSecrets: false
        }
    }
}
