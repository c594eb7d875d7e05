/// What was asked for: an address and port, over a transport; or the peer, for a request from outside.
package struct Destination: Hashable, Sendable {
    package var address: IPAddress
    /// The port; 0 where the transport has none.
    package var port: UInt16
    package var transport: Transport

    package init(address: IPAddress, port: UInt16, transport: Transport) {
        self.address = address
        self.port = port
        self.transport = transport
    }
}

extension Destination: CustomStringConvertible {
    /// `203.0.113.9:22/tcp`, `[2001:db8::9]:22/tcp`, `192.0.2.1/icmp`.
    package var description: String {
        guard transport.hasPorts else { return "\(address)/\(transport)" }
        return address.isV4 ? "\(address):\(port)/\(transport)" : "[\(address)]:\(port)/\(transport)"
    }
}

/// The process that made a request, as it was while the packet was held.
package struct ProcessRecord: Hashable, Sendable {
    package var pid: Int32?
    /// The path of the program, as `/proc/PID/exe` gives it.
    package var executable: String?
    /// The command line, bounded by who read it.
    package var command: [String]
    package var uid: UInt32?
    /// The cgroup v2 path, starting with a slash.
    package var cgroup: String?
    /// The names of the parents, nearest first.
    package var ancestors: [String]
    /// Whether every process that holds the socket runs this executable.
    package var isCertain: Bool

    package init(
        pid: Int32? = nil,
        executable: String? = nil,
        command: [String] = [],
        uid: UInt32? = nil,
        cgroup: String? = nil,
        ancestors: [String] = [],
        isCertain: Bool = false,
    ) {
        self.pid = pid
        self.executable = executable
        self.command = command
        self.uid = uid
        self.cgroup = cgroup
        self.ancestors = ancestors
        self.isCertain = isCertain
    }
}

/// What the first bytes of a connection said of themselves.
package struct FlightRecord: Hashable, Sendable {
    /// The server that they name: TLS's server name, HTTP's host; escaped where it is no name.
    package var serverName: String?
    /// The protocols offered inside TLS or QUIC (RFC 7301), escaped.
    package var alpn: [String]
    /// The fingerprint of the TLS client (JA4).
    package var ja4: String?
    /// The first bytes themselves, escaped and bounded; not told of what is allowed.
    package var excerpt: String?

    package init(serverName: String? = nil, alpn: [String] = [], ja4: String? = nil, excerpt: String? = nil) {
        self.serverName = serverName
        self.alpn = alpn
        self.ja4 = ja4
        self.excerpt = excerpt
    }
}

/// What an operator has approved, as it stands in the events of a grant.
package struct ApprovalRecord: Hashable, Sendable {
    /// For how long it was approved, in seconds.
    package var seconds: Int64
    /// When it ends by itself.
    package var expires: WallTime
    /// On which ports, for a name: `443`, `8443/udp`.
    package var ports: [String]
    /// What must be spoken there, for a name; nil where nobody said.
    package var application: String?
    /// The grant that took its place.
    package var replacedBy: Int64?

    package init(
        seconds: Int64,
        expires: WallTime,
        ports: [String] = [],
        application: String? = nil,
        replacedBy: Int64? = nil,
    ) {
        self.seconds = seconds
        self.expires = expires
        self.ports = ports
        self.application = application
        self.replacedBy = replacedBy
    }
}

/// One line of the record.
package struct Event: Hashable, Sendable {
    /// What the line tells of.
    package enum Kind: String, Sendable, CaseIterable {
        /// A request and its verdict.
        case request
        /// Somebody outside tried to open a connection to a workload, or did.
        case inbound
        /// A grant was made, revoked, replaced by another one, or ran out.
        case grant
        /// Policies were loaded, or refused.
        case reload
        /// A call on the control socket was refused.
        case control
        /// The daemon started or stopped.
        case daemon
        /// Something an operator should look at.
        case alarm
    }

    /// The place in the record, given by the store; 0 before.
    package var sequence: Int64 = 0
    /// When it happened.
    package var time: WallTime
    package var kind: Kind
    package var verdict: Verdict?
    package var reason: Reason?
    package var workload: String?
    package var rule: String?
    /// The generation of the workload's policy that decided.
    package var generation: UInt32?
    package var destination: Destination?
    /// The name the destination's address is known by.
    package var name: String?
    /// The address that the name was answered with, where the line is about that and not about a destination.
    package var answer: IPAddress?
    /// The application protocol that the request is, or claims to be.
    package var application: String?
    /// What its first bytes said, where somebody looked at them.
    package var flight: FlightRecord?
    package var process: ProcessRecord?
    /// The configured environment variables of the process.
    package var context: [String: String] = [:]
    package var finding: Finding?
    /// The number under which `ctl requests` groups it.
    package var request: Int64?
    /// How many attempts the line stands for; 1 unless the kernel refused repetitions itself.
    package var count: UInt64 = 1
    /// From the packet's arrival at the broker to its verdict.
    package var latencyMicroseconds: Int64?
    /// The grant that the line is about.
    package var grant: Int64?
    /// What the grant allows, and for how long.
    package var approval: ApprovalRecord?
    /// Who made the call, for grants and refused calls: a user name or number.
    package var actor: String?
    /// What a person should read: the operator's reason, the reload's error, the alarm.
    package var message: String?

    /// What it is about: the destination, or the name where there is none; nil without either.
    package var subject: Subject? {
        if let destination { return .address(destination) }
        return name.flatMap { try? DomainName($0) }.map { .name($0) }
    }

    package init(time: WallTime, kind: Kind) {
        self.time = time
        self.kind = kind
    }
}
