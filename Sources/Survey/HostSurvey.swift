package import Coverage
package import System

/// Looks at a host through its files: /proc, /sys, /dev, /run and /etc below one root.
package struct HostSurvey {
    let files: HostFiles

    /// A survey of the files below a root; without one, of this host.
    package init(_ files: HostFiles = HostFiles()) { self.files = files }

    /// The switches of the kernel that the report speaks of, by path below /proc/sys; those that are not there are left out.
    package func settings() -> Known<[String: String]> {
        guard (try? files.names(in: "/proc/sys")) != nil else { return .unknown("/proc/sys cannot be read") }
        var found: [String: String] = [:]
        for name in Self.settings {
            guard let text = try? files.text("/proc/sys/\(name)", limit: 64) else { continue }
            found[name] = String(text.prefix { !$0.isNewline })
        }
        for (family, name) in [("ipv4", "forwarding"), ("ipv6", "force_forwarding")] {
            for device in (try? files.names(in: "/proc/sys/net/\(family)/conf")) ?? [] {
                let path = "net/\(family)/conf/\(device)/\(name)"
                guard let text = try? files.text("/proc/sys/\(path)", limit: 64) else { continue }
                found[path] = String(text.prefix { !$0.isNewline })
            }
        }
        return .known(found)
    }

    private static let settings = [
        "kernel/apparmor_restrict_unprivileged_userns", "kernel/modules_disabled", "kernel/unprivileged_bpf_disabled",
        "kernel/unprivileged_userns_clone", "net/ipv4/ip_forward", "net/ipv4/tcp_fwmark_accept",
        "net/ipv6/conf/all/forwarding", "net/netfilter/nf_conntrack_count",
        "net/netfilter/nf_conntrack_helper", "net/netfilter/nf_conntrack_max", "user/max_user_namespaces",
    ]

    /// The owners of the packet sockets that are open in the calling thread's network namespace.
    package func packetSockets() -> Known<[UInt32]> {
        read("/proc/thread-self/net/packet") { text in
            // `sk RefCnt Type Proto Iface R Rmem User Inode`
            text.split(separator: "\n").dropFirst().compactMap { line in
                let fields = line.split(separator: " ")
                return fields.count > 8 ? UInt32(fields[7]) : nil
            }
        }
    }

    /// The protocols that have sockets, as the kernel calls them.
    package func protocols() -> Known<Set<String>> {
        read("/proc/thread-self/net/protocols") { text in
            Set(text.split(separator: "\n").dropFirst().compactMap { $0.split(separator: " ").first.map(String.init) })
        }
    }

    /// The RDMA devices of the host.
    package func rdma() -> [String] { (try? files.names(in: "/sys/class/infiniband")) ?? [] }

    private func read<Value>(_ path: String, _ parse: (String) -> Value) -> Known<Value> {
        do throws(Errno) {
            return .known(parse(try files.text(path, limit: 1 << 20)))
        } catch {
            return .unknown("\(path): \(error)")
        }
    }
}
