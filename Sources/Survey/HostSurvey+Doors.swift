package import Coverage
internal import System

extension HostSurvey {
    /// The doors and devices that there are, for each mount namespace that the processes see; 0 is this one's.
    package func doors(for processes: Processes?) -> [UInt64: [Door]] {
        var doors: [UInt64: [Door]] = [0: self.doors(below: "")]
        for process in (processes?.actors ?? []).compactMap(\.process) where process.mounts != 0 {
            let view = "/proc/\(process.pid)/root"
            // A process that ended meanwhile shows no doors, and says nothing of those that others see.
            guard doors[process.mounts] == nil, (try? files.status(of: view)) != nil else { continue }
            doors[process.mounts] = self.doors(below: view)
        }
        return doors
    }

    /// The privileged groups of the host by number, and the one that approves.
    ///
    /// `number` gives the number of a group by the group database.
    package static func privilegedGroups(
        approver: String?,
        number: (String) -> UInt32?,
    ) -> [UInt32: PrivilegedGroup] {
        var found: [UInt32: PrivilegedGroup] = [:]
        for group in PrivilegedGroup.known + (approver.map { [PrivilegedGroup($0, .approves)] } ?? []) {
            if let number = number(group.name) { found[number] = group }
        }
        return found
    }

    /// What is listened at, or is a folder of such things; the devices' own names left out.
    package static var doorPaths: [String] { sockets.map(\.path) + devices.map(\.folder).filter { $0 != "/dev" } }

    private static let sockets: [(kind: Door.Kind, path: String)] = [
        (.containers, "/run/docker.sock"), (.containers, "/run/containerd/containerd.sock"),
        (.containers, "/run/podman/podman.sock"), (.containers, "/run/crio/crio.sock"),
        (.containers, "/run/buildkit/buildkitd.sock"), (.containers, "/run/k3s/containerd/containerd.sock"),
        (.containers, "/run/libvirt/libvirt-sock"), (.containers, "/run/libvirt/virtqemud-sock"),
        (.containers, "/var/lib/lxd/unix.socket"), (.containers, "/var/snap/lxd/common/lxd/unix.socket"),
        (.containers, "/var/lib/incus/unix.socket"), (.containers, "/run/incus/unix.socket"),
        (.names, "/run/nscd/socket"), (.names, "/run/systemd/resolve/io.systemd.Resolve"),
        (.names, "/run/avahi-daemon/socket"), (.names, "/var/lib/sss/pipes/nss"), (.bus, "/run/dbus/system_bus_socket"),
    ]

    private static let devices: [(kind: Door.Kind, folder: String, prefixes: [String])] = [
        (.rdma, "/dev/infiniband", ["uverbs", "umad", "ucm", "rdma_cm"]),
        (.userDriver, "/dev/vfio", ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "noiommu-"]),
        (.rdma, "/dev", ["cxi", "hfi1"]), (.userDriver, "/dev", ["uio"]), (.vsock, "/dev", ["vsock", "vhost-vsock"]),
        (.host, "/dev", ["mem", "kmem", "port", "sd", "nvme", "vd", "xvd"]), (.virtualMachines, "/dev", ["kvm"]),
    ]

    /// What the users' own managers listen at, below /run/user/UID.
    private static let managers = ["bus", "systemd/private", "docker.sock", "podman/podman.sock"]

    private func doors(below root: String) -> [Door] {
        Self.sockets.compactMap { door($0.kind, $0.path, below: root) }
            + files.numbers(in: root + "/run/user").sorted().flatMap { uid in
                Self.managers.compactMap { door(.userManager, "/run/user/\(uid)/\($0)", below: root) }
            }
            + Self.devices.flatMap { device in
                ((try? files.names(in: root + device.folder)) ?? []).filter { name in
                    device.prefixes.contains(where: name.hasPrefix)
                }.compactMap { door(device.kind, "\(device.folder)/\($0)", below: root) }
            }
    }

    private func door(_ kind: Door.Kind, _ path: String, below root: String) -> Door? {
        guard let file = try? files.status(of: root + path) else { return nil }
        // Folders are not devices: /dev has some whose names begin alike.
        guard file.mode & 0o170000 != 0o040000 else { return nil }
        var folders: [Permissions] = []
        var folder = ""
        for part in path.split(separator: "/").dropLast() {
            folder += "/" + part
            guard let found = try? files.status(of: root + folder) else { continue }
            folders.append(Permissions(found))
        }
        return Door(kind: kind, path: path, file: Permissions(file), folders: folders)
    }
}

extension Permissions {
    init(_ status: HostFiles.Status) { self.init(owner: status.owner, group: status.group, mode: status.mode) }
}
