package import Model

/// What the host decides about the daemon: `/etc/egressd/egressd.yaml`.
package struct HostConfiguration: Hashable, Sendable {
    /// Whether verdicts are carried out.
    package enum Mode: String, Sendable, CaseIterable {
        case enforce
        /// Nothing is refused, everything is recorded.
        case observe
    }

    /// What becomes of the requests of processes that no workload owns.
    package enum Unidentified: String, Sendable, CaseIterable {
        case allow
        case observe
        case deny
    }

    /// Whether the kernel keeps others away from egressd's table.
    package enum Owner: String, Sendable, CaseIterable {
        /// Where it can (Linux 6.9 and later).
        case auto
        /// As before Linux 6.9: what others do to the table is put back.
        case off
    }

    /// The folder of the policy files.
    package var policies = "/etc/egressd/policies"
    package var mode = Mode.enforce
    package var unidentified = Unidentified.observe
    /// The resolvers that the broker asks; the nameservers of `/etc/resolv.conf` unless the file names some.
    package var dnsServers: [Nameserver] = []
    /// Whether the file names no resolvers, so that they change with `/etc/resolv.conf`.
    package var dnsUpstreamsAreDefault = true
    /// The local port of the broker's own resolver, on 127.0.0.1 and ::1, UDP and TCP.
    package var dnsPort: UInt16 = 8053
    /// How many different names below its wildcards a workload may ask for within an hour.
    package var dnsBudget = 4096
    /// The path of the control socket.
    package var control = "/run/egressd/control.sock"
    /// The folder of the record.
    package var state = "/var/lib/egressd"
    /// The unix group that may approve; nil: root alone.
    package var approverGroup: String?
    /// The unix group that may look; nil: root and the approvers alone.
    package var viewerGroup: String?
    /// The environment variables of a process that go into its events.
    package var context: [String] = []
    /// The first netfilter queue number.
    package var queue: UInt16 = 8100
    package var owner = Owner.auto
    /// The file this was read from, as it was given.
    package var path = ""

    package init() {}

    /// The addresses of `dnsServers`, each once; those that are set are asked on port 53.
    package var dnsUpstreams: [IPAddress] {
        get {
            dnsServers.map(\.address).reduce(into: []) { addresses, address in
                if !addresses.contains(address) { addresses.append(address) }
            }
        }
        set { dnsServers = newValue.map { Nameserver($0) } }
    }
}
