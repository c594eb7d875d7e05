/// A socket or device that somebody else listens behind, or that is no packet of the rules' path.
package struct Door: Hashable, Sendable {
    /// What is behind it.
    package enum Kind: Sendable {
        /// A daemon that starts containers or machines as root.
        case containers
        /// A service that asks name servers for whoever asks it.
        case names
        /// The system bus, behind which services act for others.
        case bus
        /// A user's own manager, bus or daemon of containers, which starts programs outside the workload.
        case userManager
        /// Memory and disks of the host.
        case host
        /// A network card without the kernel's network stack.
        case rdma
        case userDriver
        /// The hypervisor's own channel.
        case vsock
        case virtualMachines
    }

    package let kind: Kind
    package let path: String
    /// The permissions of the file.
    package let file: Permissions
    /// Those of the folders on the way to it.
    package let folders: [Permissions]

    package init(kind: Kind, path: String, file: Permissions, folders: [Permissions] = []) {
        self.kind = kind
        self.path = path
        self.file = file
        self.folders = folders
    }

    /// Whether the actor gets through it by owner, group and mode; access control lists are not read.
    ///
    /// Mode 0 is what a unit's InaccessiblePaths puts there: nobody listens behind it.
    func admits(_ actor: Actor) -> Bool {
        guard file.mode & 0o777 != 0 else { return false }
        if actor.isAboveFiles { return true }
        // Any user may be the one whose manager it is.
        if kind == .userManager, actor.uid == nil { return true }
        return folders.allSatisfy { $0.grants(0o1, to: actor) } && file.grants(0o2, to: actor)
    }
}
